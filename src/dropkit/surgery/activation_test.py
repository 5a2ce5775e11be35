import importlib.util

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


class Exploding(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        raise RuntimeError("other inputs")


@pytest.mark.parametrize("module", [Square(), nn.Threshold(0.1, 0.0), nn.LogSigmoid(), nn.RReLU()])
def test_what_bends_every_entry_by_itself_is_one(module: nn.Module) -> None:
    assert is_activation(module)


NONE = [
    *(Scale(), nn.Identity(), nn.Flatten(), nn.Softmax(-1), nn.Softmax(0), nn.GLU(), Exploding()),
    *(nn.Dropout(0.5), Dropout(0.5), nn.MaxPool1d(3, 1, 1), nn.LayerNorm(8, elementwise_affine=False)),
    *(nn.Linear(8, 8), nn.Sequential(nn.ReLU()), nn.BatchNorm1d(8, affine=False), nn.RNN(8, 8)),
]


@pytest.mark.parametrize("module", NONE, ids=lambda module: type(module).__name__)
def test_all_else_is_none_and_is_left_as_it_was(module: nn.Module) -> None:
    state = torch.get_rng_state()
    assert not is_activation(module)
    assert module.training
    assert torch.equal(torch.get_rng_state(), state)


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
