import importlib.util
import threading

import pytest
import torch
from torch import Tensor, nn

from dropkit.surgery.activation import is_activation
from dropkit.surgery.sites import find_sites
from dropkit.torch import Dropout


class Square(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x) ** 2


class Scale(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 3 * x + 1


class Swish(nn.Module):
    """x sigmoid(beta x) (Ramachandran et al. 2017), where beta is learned."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.beta = nn.Parameter(torch.ones(shape))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.beta * x)


class Remembering(nn.Module):
    """A ReLU that counts its passes and keeps what it gave."""

    calls: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))
        self.given: list[Tensor] = []
        self.last: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.last = torch.relu(x)
        self.given.append(self.last)
        return self.last


class Locked(nn.ReLU6):
    """What cannot be copied, and so is known by its class alone."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()


class LockedSquare(Square):
    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()


class Clip(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.clamp(-20, 20)


class ChannelScale(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.linspace(1, 2, 8))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * x


class PowerMean(nn.Module):
    """A pooling over images with a power that is learned."""

    def __init__(self) -> None:
        super().__init__()
        self.power = nn.Parameter(torch.tensor(3.0))

    def forward(self, x: Tensor) -> Tensor:
        raised: Tensor = x.clamp(min=1e-6) ** self.power
        return raised.mean((-2, -1), keepdim=True) ** (1 / self.power)


class Exploding(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        raise RuntimeError("other inputs")


BENT = [
    *(Square(), Clip(), nn.Threshold(0.1, 0.0), nn.LogSigmoid(), nn.RReLU(), Locked(), nn.PReLU(16)),
    *(Swish(), Swish(1), Swish(16), Swish(16, 1, 1), Swish(1, 16, 1), Swish(1, 16, 1, 1)),
]


@pytest.mark.parametrize("module", BENT, ids=lambda module: type(module).__name__)
def test_what_bends_every_entry_by_itself_is_one(module: nn.Module) -> None:
    assert is_activation(module)


NONE = [
    *(Scale(), nn.Identity(), nn.Flatten(), nn.Softmax(-1), nn.Softmax(0), nn.GLU(), Exploding()),
    *(nn.Dropout(0.5), Dropout(0.5), nn.MaxPool1d(3, 1, 1), nn.LayerNorm(8, elementwise_affine=False)),
    *(nn.Linear(8, 8), nn.Sequential(nn.ReLU()), nn.BatchNorm1d(8, affine=False), nn.RNN(8, 8)),
    *(nn.LayerNorm(8), nn.GroupNorm(8, 8), nn.RMSNorm(8), nn.LPPool2d(2, 2, 1), nn.Embedding(8, 8)),
    *(ChannelScale(), PowerMean(), LockedSquare()),
]


@pytest.mark.parametrize("module", NONE, ids=lambda module: type(module).__name__)
def test_all_else_is_none_and_is_left_as_it_was(module: nn.Module) -> None:
    state = torch.get_rng_state()
    assert not is_activation(module)
    assert module.training
    assert torch.equal(torch.get_rng_state(), state)


def test_the_probe_leaves_nothing_behind_in_its_module() -> None:
    module = Remembering()
    assert is_activation(module)
    assert (float(module.calls), module.given, module.last) == (0, [], None)


def test_a_module_that_still_holds_a_result_of_training_is_tried_too() -> None:
    module = Remembering()
    given = module(torch.ones(2, 3, requires_grad=True) * 1)
    module.given.clear()
    assert is_activation(module)
    assert module.last is given


def test_an_activation_that_learns_is_no_layer() -> None:
    model = nn.Sequential(nn.Linear(4, 8), Swish(8), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2), Swish())
    found = [site.name for site in find_sites(model, torch.ones(2, 4)) if site.place == "activation"]
    assert found == ["1", "3"]


@pytest.mark.skipif(not importlib.util.find_spec("transformers"), reason="needs transformers")
@pytest.mark.parametrize("name", ["gelu", "gelu_new", "quick_gelu", "relu2", "silu", "mish"])
def test_a_transformer_has_sites_behind_its_own_activations(name: str) -> None:
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=20,
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        hidden_act=name,
    )
    model = BertModel(config)

    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bert, self.head = model, nn.Linear(8, 2)

        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = self.head(self.bert(x.long()).pooler_output)
            return found

    found = [
        (site.name, site.shape)
        for site in find_sites(Whole(), torch.ones(2, 5))
        if site.place == "activation"
    ]
    layers = [(f"bert.encoder.layer.{at}.intermediate.intermediate_act_fn", (5, 16)) for at in range(2)]
    assert found == [*layers, ("bert.pooler.activation", (8,))]
