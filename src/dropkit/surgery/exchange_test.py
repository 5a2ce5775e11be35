import copy
import sys
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import dropkit
from dropkit import DropkitError
from dropkit.surgery import use_dropkit
from dropkit.torch import DropLSTM, Dropout, DropPath, MultiheadAttention
from dropkit.torch.stochastic import Stochastic


class Everything(nn.Module):
    """Every kind of dropout that torch has, one of them shared."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16, 0.3, batch_first=True)
        self.rnn = nn.LSTM(8, 6, 2, batch_first=True, dropout=0.4, bidirectional=True)
        self.gru = nn.GRU(12, 6, 3, batch_first=True, dropout=0.2)
        self.alone = nn.GRU(6, 6, 1, batch_first=True)
        self.drops = nn.Sequential(nn.Dropout(0.5), nn.AlphaDropout(0.1), nn.Dropout1d(0.2))
        self.again = self.drops[0]

    def forward(self, x: Tensor) -> Tensor:
        x = self.gru(self.rnn(self.encoder(x))[0])[0]
        return self.again(self.drops(self.alone(x)[0]))  # type: ignore[no-any-return]  # modules are untyped


X = torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(0))


def model() -> Everything:
    torch.manual_seed(0)
    return Everything()


def kinds(module: nn.Module) -> list[type[nn.Module]]:
    return [type(each) for each in module.modules()]


def test_every_source_is_exchanged_and_eval_is_the_same_bit_for_bit() -> None:
    before = model()
    changed: Any = use_dropkit(before)
    names = [swap.name for swap in changed.swaps]
    assert names == [
        "encoder",
        "encoder.self_attn",
        "encoder.dropout",
        "encoder.dropout1",
        "encoder.dropout2",
        "rnn",
        "gru",
        "drops.0",
        "drops.1",
        "drops.2",
        "again",
    ]
    assert changed.kept == ()
    left = [m for m in changed.model.modules() if isinstance(m, nn.modules.dropout._DropoutNd)]
    assert all(isinstance(m, Stochastic) for m in left)
    assert changed.model.again is changed.model.drops[0]
    for grad in (False, True):
        with torch.set_grad_enabled(grad):
            assert torch.equal(changed.model.eval()(X), before.eval()(X))
    assert changed.model.state_dict().keys() == before.state_dict().keys()


def test_what_draws_is_ours() -> None:
    changed = use_dropkit(model()).model.train()
    with dropkit.torch.under_key(changed, 5):
        first, second = changed(X), changed(X)
    assert torch.equal(first, second)
    assert not torch.equal(changed(X), changed(X))
    with dropkit.mode(changed.eval(), "mc"):
        assert not torch.equal(changed(X), changed(X))


def test_a_copy_leaves_the_model_and_in_place_keeps_every_parameter() -> None:
    before = model()
    known = {name: id(p) for name, p in before.named_parameters()}
    types = kinds(before)
    assert use_dropkit(before).model is not before
    assert kinds(before) == types
    changed = use_dropkit(before, inplace=True)
    assert changed.model is before
    assert {name: id(p) for name, p in before.named_parameters()} == known


def test_undo_puts_the_modules_back_with_the_weights_of_now() -> None:
    before = model()
    types = kinds(before)
    changed = use_dropkit(before, inplace=True)
    optimizer = torch.optim.SGD(before.parameters(), 0.1)
    before(X).sum().backward()
    optimizer.step()
    after = before.double().eval()(X.double())
    assert changed.undo() is before
    assert kinds(before) == types
    assert torch.equal(before.eval()(X.double()), after)
    before(X.double()).sum().backward()


def test_undo_runs_with_weights_that_were_exchanged_meanwhile() -> None:
    before = model()
    changed = use_dropkit(before, inplace=True)
    # A recurrent net keeps a list of its weights, which torch makes anew where they have changed.
    fresh = {name: weight / 2 for name, weight in model().double().state_dict().items()}
    before.double().load_state_dict(fresh, assign=True)
    after = before.eval()(X.double())
    assert torch.equal(changed.undo().eval()(X.double()), after)


def test_a_copy_and_a_saved_state_go_on() -> None:
    changed = use_dropkit(model()).model.eval()
    twin = copy.deepcopy(changed)
    twin.load_state_dict(model().state_dict())
    assert torch.equal(twin(X), changed(X))
    for one, other in zip(twin.parameters(), changed.parameters(), strict=True):
        assert one is not other


class Caller(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x, 0.5, self.training)


class Own(nn.Dropout):
    """Somebody's dropout."""


def test_what_cannot_be_exchanged_is_told_with_the_reason() -> None:
    hooked = nn.Dropout(0.5)
    hooked.register_forward_hook(lambda *_: None)
    changed = use_dropkit(nn.Sequential(Caller(), Own(0.5), hooked, nn.Dropout(0.1), Dropout(0.1)))
    assert [(kept.name, kept.reason.split(":")[0]) for kept in changed.kept] == [
        ("0", "calls functions"),
        ("1", "is a class of its own"),
        ("2", "has hooks, which would be lost"),
    ]
    assert [swap.name for swap in changed.swaps] == ["3"]


@pytest.mark.parametrize(
    ("package", "name", "facts", "rate"),
    [
        ("timm.layers.drop", "DropPath", {"drop_prob": 0.2, "scale_by_keep": False}, 0.2),
        ("timm.layers.drop", "DropPath", {"drop_prob": None, "scale_by_keep": True}, 0.0),
        ("torchvision.ops.stochastic_depth", "StochasticDepth", {"p": 0.3, "mode": "row"}, 0.3),
        ("torchvision.ops.stochastic_depth", "StochasticDepth", {"p": 0.3, "mode": "batch"}, 0.3),
    ],
)
def test_stochastic_depth_of_others_is_known_by_its_name(
    package: str, name: str, facts: dict[str, Any], rate: float
) -> None:
    kind = type(name, (nn.Module,), {"__module__": package, "forward": lambda self, x: x})
    sys.modules.setdefault(package, ModuleType(package))
    foreign = kind()
    vars(foreign).update(facts)
    changed = use_dropkit(nn.Sequential(foreign)).model[0]  # type: ignore[index]  # a Sequential
    assert isinstance(changed, DropPath)
    assert changed.p == rate
    assert changed.description.groups.pattern.startswith("b ... -> b") == (facts.get("mode") != "batch")
    del sys.modules[package]


def test_a_model_that_is_itself_a_dropout_and_one_without() -> None:
    changed = use_dropkit(nn.Dropout(0.5))
    assert isinstance(changed.model, Dropout)
    assert changed.swaps[0].name == ""
    assert type(changed.undo()) is nn.Dropout
    assert use_dropkit(nn.Linear(2, 2)).swaps == ()
    assert isinstance(use_dropkit(nn.MultiheadAttention(4, 2, 0.1)).model, MultiheadAttention)
    assert isinstance(use_dropkit(nn.LSTM(4, 2, 2, dropout=0.1)).model, DropLSTM)
    with pytest.raises(DropkitError, match="model must be a Module"):
        use_dropkit(lambda x: x)  # type: ignore[arg-type]  # that is the point
