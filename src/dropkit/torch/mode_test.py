from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import dropkit
from dropkit.core.check import DropkitError
from dropkit.torch import ChannelDropBack, Dropout, Layer, Masksembles, Zoneout

X = torch.randn(4, 6, 8, generator=torch.Generator().manual_seed(0))
PADDING = torch.arange(6) >= torch.tensor([6, 5, 3, 2])[:, None]


class Attention(nn.Module):
    """Self-attention whose dropout is a plain number."""

    def __init__(self, rate: float = 0.5) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, dropout=rate, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.attention(x, x, x)[0]
        return y


class Recurrent(nn.Module):
    """A recurrent network whose dropout is a plain number."""

    def __init__(self, kind: Callable[..., nn.Module], layers: int = 2) -> None:
        super().__init__()
        self.network = kind(8, 8, num_layers=layers, dropout=0.5, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.network(x)[0]
        return y


class Padded(nn.Module):
    """An encoder under a padding mask: the fast path through nested tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.TransformerEncoder(encoder_layer(), num_layers=2, enable_nested_tensor=True)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.encoder(x, src_key_padding_mask=PADDING[: len(x)])
        return y


class Normalised(nn.Sequential):
    """Torch's own dropout between two normalisations."""

    def __init__(self, dropout: nn.Module) -> None:
        super().__init__(
            nn.BatchNorm1d(6), dropout, nn.Linear(8, 8), nn.InstanceNorm1d(6, track_running_stats=True)
        )


def encoder_layer() -> nn.TransformerEncoderLayer:
    return nn.TransformerEncoderLayer(8, 2, 16, dropout=0.5, batch_first=True)


MODELS: dict[str, Callable[[], nn.Module]] = {
    "ours": lambda: Normalised(Dropout()),
    "ours in place": lambda: Normalised(Dropout(inplace=True)),
    "torch's": lambda: Normalised(nn.Dropout()),
    "torch's by channel": lambda: Normalised(nn.Dropout1d()),
    "torch's alpha": lambda: Normalised(nn.AlphaDropout()),
    "attention": Attention,
    "LSTM": lambda: Recurrent(nn.LSTM),
    "GRU": lambda: Recurrent(nn.GRU),
    "RNN": lambda: Recurrent(nn.RNN),
    "encoder layer": encoder_layer,
    "encoder": lambda: nn.TransformerEncoder(encoder_layer(), num_layers=2, enable_nested_tensor=False),
    "encoder with padding": Padded,
}


def states(model: nn.Module) -> list[Any]:
    flags = [(m.training, m.forced_mode if isinstance(m, Layer) else None) for m in model.modules()]
    return flags + [value.clone() for value in model.state_dict().values()]


def fail_inside(model: nn.Module) -> None:
    before = states(model)
    with dropkit.mode(model, "mc"):
        assert not equal(states(model), before)
        raise ZeroDivisionError


def equal(one: list[Any], other: list[Any]) -> bool:
    same = (torch.equal(a, b) if isinstance(a, Tensor) else a == b for a, b in zip(one, other, strict=True))
    return all(same)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
@pytest.mark.parametrize("name", MODELS)
class TestMonteCarlo:
    """Dropout draws, and nothing else leaves evaluation."""

    def test_two_passes_differ_and_nothing_moves(self, name: str) -> None:
        model = MODELS[name]().eval()
        before = states(model)
        with torch.no_grad():
            still = model(X)
            with dropkit.mode(model, "mc"):
                assert not torch.equal(model(X), model(X))
            assert torch.equal(model(X), still)
        assert equal(states(model), before)

    def test_a_model_in_training_keeps_its_state(self, name: str) -> None:
        model = MODELS[name]().train()
        before = states(model)
        with dropkit.mode(model, "mc"):
            pass
        assert equal(states(model), before)

    def test_an_exception_restores_all(self, name: str) -> None:
        model = MODELS[name]().eval()
        before = states(model)
        with pytest.raises(ZeroDivisionError):
            fail_inside(model)
        assert equal(states(model), before)

    def test_eval_on_a_model_in_training_stills_dropout_alone(self, name: str) -> None:
        model = MODELS[name]().train()
        trained = {id(m) for m in model.modules() if m.training}
        with dropkit.mode(model, "eval"):
            assert torch.equal(model(X), model(X))
            norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm1d)]
            assert all(m.training for m in norms)
        assert {id(m) for m in model.modules() if m.training} == trained

    def test_blocks_nest(self, name: str) -> None:
        model = MODELS[name]().eval()
        before = states(model)
        with dropkit.mode(model, "mc"):
            outer = states(model)
            with dropkit.mode(model, "eval"):
                assert torch.equal(model(X), model(X))
            assert equal(states(model), outer)
            assert not torch.equal(model(X), model(X))
        assert equal(states(model), before)


def test_running_statistics_do_move_in_training() -> None:
    model = Normalised(Dropout()).train()
    before = states(model)
    with dropkit.mode(model, "train"):
        model(X)
    assert not equal(states(model), before)


def test_the_fast_path_would_have_hidden_dropout() -> None:
    # Torch's own recipe, dropout modules in training and the rest in eval, meets the fast path.
    model = encoder_layer().eval()
    for module in model.modules():
        module.training = isinstance(module, nn.Dropout)
    with torch.no_grad():
        assert torch.equal(model(X), model(X))


def test_a_shared_layer_is_restored_once() -> None:
    layer = Dropout()
    model = nn.Sequential(layer, nn.Linear(8, 8), layer).eval()
    with dropkit.mode(model, "mc"):
        assert layer.forced_mode == "mc"
    assert layer.forced_mode is None


def test_a_layer_alone_is_a_model() -> None:
    layer = Zoneout(0.5).eval()
    with dropkit.mode(layer, "mc"):
        assert set(layer(torch.ones(99), torch.zeros(99)).unique().tolist()) == {0.0, 1.0}


def test_a_schedule_at_0_may_draw_later() -> None:
    layer = Dropout(dropkit.late_schedule(0.5, 10))
    with dropkit.mode(layer, "mc"):
        assert torch.equal(layer(X), X)


class Functional(nn.Module):
    """What no look at the modules can find."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(x, training=self.training)


@pytest.mark.parametrize(
    ("model", "rule"),
    [
        (nn.Linear(2, 2), "has a source of dropout"),
        (Functional(), "has a source of dropout"),
        (Attention(0.0), "has a source of dropout"),
        (nn.GRU(2, 2), "has a source of dropout"),
        (nn.Sequential(Dropout(0.0), nn.Dropout(0.0)), "has dropout with a rate above 0"),
    ],
)
def test_a_model_without_dropout_is_refused(model: nn.Module, rule: str) -> None:
    before = states(model)
    with (
        pytest.raises(DropkitError, match=rf"model {rule}.*F\.dropout inside forward cannot be seen"),
        dropkit.mode(model, "mc"),
    ):
        pytest.fail("the block ran")
    assert equal(states(model), before)


@pytest.mark.filterwarnings("ignore:dropout option adds dropout after all but last:UserWarning")
def test_a_recurrent_network_of_one_layer_never_drops() -> None:
    with (
        pytest.raises(DropkitError, match="has a source of dropout"),
        dropkit.mode(Recurrent(nn.LSTM, layers=1), "mc"),
    ):
        pytest.fail("the block ran")


def test_eval_needs_a_source_but_no_rate() -> None:
    with dropkit.mode(Dropout(0.0), "eval"):
        pass
    with pytest.raises(DropkitError, match="has a source of dropout"), dropkit.mode(nn.Linear(2, 2), "eval"):
        pytest.fail("the block ran")


@pytest.mark.parametrize("mode", ["MC", "", None])
def test_an_unknown_mode_is_refused(mode: Any) -> None:
    with pytest.raises(DropkitError, match="mode must be one of"):
        dropkit.mode(Dropout(), mode)


@pytest.mark.parametrize(
    "layer", [ChannelDropBack(nn.Linear(2, 2), 0.5), Masksembles(8)], ids=lambda x: type(x).__name__
)
def test_a_model_whose_passes_are_all_alike_is_told_so(layer: nn.Module) -> None:
    with (
        pytest.raises(DropkitError, match=f"draws in this mode.*{type(layer).__name__} changes no forward"),
        dropkit.mode(nn.Sequential(layer), "mc"),
    ):
        pass
