import copy
import io
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import dropkit
from dropkit import torch as layers
from dropkit.core.check import DropkitError
from dropkit.torch import Drop, DropBlock2d, Dropout, DropPath, EmbeddingDropout, Layer, TokenDropout, Zoneout

SCHEDULE = dropkit.linear_schedule(0.2, 0.8, 10)
X = torch.ones(6, 10)


def every_layer() -> list[Layer]:
    public = (getattr(layers, name) for name in layers.__all__)
    classes: list[Any] = [cls for cls in public if isinstance(cls, type) and issubclass(cls, Layer)]
    plain: list[Layer] = [cls() for cls in classes if cls not in (Layer, Drop, EmbeddingDropout)]
    special = [
        Drop(0.1, "b t d -> b d", noise="gaussian", inplace=True),
        Drop(dropkit.Drop(0.1, dropkit.KofN(over="w"))),
        Drop(None, dropkit.KofN(2, over="w")),
        Drop(dropkit.PerAxis((0.1, 0.2), "c"), "b c -> c", scale="eval"),
        Dropout(SCHEDULE),
        EmbeddingDropout(nn.Embedding(5, 2)),
        TokenDropout(0.1, 1, (3, 4)),
    ]
    return plain + special


@pytest.mark.parametrize("layer", every_layer(), ids=str)
@pytest.mark.parametrize("how", ["deepcopy", "pickle", "save"])
def test_a_copy_is_the_same_layer(layer: Layer, how: str) -> None:
    layer.force("mc")
    twin: Any
    if how == "deepcopy":
        twin = copy.deepcopy(layer)
    elif how == "pickle":
        twin = pickle.loads(pickle.dumps(layer))
    else:
        file = io.BytesIO()
        torch.save(layer, file)
        file.seek(0)
        twin = torch.load(file, weights_only=False)
    layer.force(None)
    assert type(twin) is type(layer)
    assert (twin.description, twin.inplace, twin.forced_mode) == (layer.description, layer.inplace, "mc")
    twin.force(None)
    assert repr(twin) == repr(layer)


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (Dropout(0.25, True), "Dropout(p=0.25, inplace=True)"),
        (Dropout(scale="eval"), "Dropout(p=0.5, inplace=False, scale='eval')"),
        (Dropout(SCHEDULE), "Dropout(p=Linear(start=0.2, end=0.8, steps=10), inplace=False)"),
        (DropBlock2d(0.1, (3, 5)), "DropBlock2d(p=0.1, inplace=False, block_size=(3, 5))"),
        (DropPath(0.1), "DropPath(p=0.1, inplace=False)"),
        (TokenDropout(0.1, 1), "TokenDropout(p=0.1, inplace=False, prefix=1, keep=())"),
        (Drop(0.1, "b t -> b"), "Drop(p=0.1, inplace=False, pattern='b t -> b', noise='bernoulli')"),
    ],
)
def test_the_text_shows_what_is_not_the_default(layer: Layer, text: str) -> None:
    assert repr(layer) == text


def test_the_text_shows_a_forced_mode() -> None:
    layer = Dropout().eval()
    with dropkit.mode(layer, "mc"):
        assert repr(layer) == "Dropout(p=0.5, inplace=False, mode='mc')"


class TestState:
    """A plain rate is no state; a schedule is its step; the address version stands in the metadata."""

    def test_a_plain_rate_leaves_nothing_behind(self) -> None:
        model = nn.Sequential(nn.Linear(2, 2), Dropout(), Zoneout(), DropBlock2d())
        assert list(model.state_dict()) == ["0.weight", "0.bias"]
        assert not any(isinstance(module, nn.Parameter) for module in Dropout().parameters())

    @pytest.mark.parametrize("ours_first", [False, True])
    def test_states_pass_between_torch_and_us(self, ours_first: bool) -> None:
        pair = [nn.Sequential(nn.Linear(2, 2), nn.Dropout()), nn.Sequential(nn.Linear(2, 2), Dropout())]
        source, target = reversed(pair) if ours_first else pair
        target.load_state_dict(source.state_dict())
        assert all(
            torch.equal(value, source.state_dict()[name]) for name, value in target.state_dict().items()
        )

    def test_a_schedule_saves_its_step_and_goes_on_from_there(self) -> None:
        layer, other = Dropout(SCHEDULE), Dropout(SCHEDULE)
        layer.move_to(5)
        assert sorted(layer.state_dict()) == ["step", "threshold"]
        other.load_state_dict(layer.state_dict())
        assert int(other.state_dict()["step"]) == 5
        assert other.p == pytest.approx(0.5)
        assert torch.equal(other(X, key=1), Dropout(0.5)(X, key=1))

    def test_the_address_version_is_metadata(self) -> None:
        state = nn.Sequential(Dropout()).state_dict()
        assert list(state) == []
        assert state._metadata["0"] == {"version": dropkit.ADDRESS_VERSION}  # type: ignore[attr-defined]  # torch hides it

    def test_a_newer_version_is_refused(self) -> None:
        state = Dropout().state_dict()
        state._metadata[""]["version"] = dropkit.ADDRESS_VERSION + 1  # type: ignore[attr-defined]  # torch hides it
        with pytest.raises(DropkitError, match=r"state_dict is at most .* install the dropkit that saved it"):
            Dropout().load_state_dict(state)

    def test_a_state_without_a_version_is_taken(self) -> None:
        Dropout().load_state_dict({})

    @pytest.mark.parametrize("convert", ["half", "bfloat16", "double", "float"])
    def test_types_of_the_model_do_not_touch_the_schedule(self, convert: str) -> None:
        layer = Dropout(SCHEDULE)
        layer.move_to(3)
        converted = getattr(layer, convert)()
        assert converted.threshold.dtype == torch.int64
        assert torch.equal(converted(X, key=1), Dropout(SCHEDULE(3))(X, key=1))

    def test_a_layer_without_memory_begins_when_it_gets_some(self) -> None:
        with torch.device("meta"):
            layer = Dropout(SCHEDULE)
        layer.to_empty(device="cpu")
        assert layer.step is not None
        assert int(layer.step) == 0
        assert torch.equal(layer(X, key=1), Dropout(SCHEDULE)(X, key=1))


class TestRate:
    """`p` reads and moves like that of torch where the rate is one number."""

    def test_a_plain_rate_may_be_set(self) -> None:
        layer = Dropout(0.5)
        layer.p = 0.25
        assert torch.equal(layer(X, key=1), Dropout(0.25)(X, key=1))

    def test_a_rate_in_a_tensor_may_be_set_too(self) -> None:
        layer = Dropout(0.5)
        layer.p = torch.tensor(0.25)  # type: ignore[assignment]  # torch takes it
        assert layer.p == 0.25

    @pytest.mark.parametrize("p", [-0.1, 1.1, float("nan"), "0.5", None])
    def test_a_wrong_rate_is_refused_and_the_old_one_stays(self, p: Any) -> None:
        layer = Dropout(0.5)
        with pytest.raises(DropkitError, match="p must be a number in"):
            layer.p = p
        assert layer.p == 0.5

    def test_a_schedule_moves_its_own_rate(self) -> None:
        layer = Dropout(SCHEDULE)
        assert layer.p == pytest.approx(0.2)
        with pytest.raises(DropkitError, match="p is moved by the layer's own rate"):
            layer.p = 0.5

    def test_many_rates_are_not_one_number(self) -> None:
        layer = Drop(dropkit.PerAxis((0.1, 0.2), "c"), "b c -> c")
        with pytest.raises(DropkitError, match="p is one number only where the rate is one"):
            _ = layer.p


class TestMode:
    """`train()` and `eval()` decide until something else is forced."""

    def test_training_decides(self) -> None:
        layer = Dropout()
        assert not torch.equal(layer(X), X)
        assert layer.eval()(X) is X

    @pytest.mark.parametrize(("mode", "draws"), [("train", True), ("mc", True), ("eval", False)])
    @pytest.mark.parametrize("training", [False, True])
    def test_a_forced_mode_prevails(self, mode: Any, draws: bool, training: bool) -> None:
        layer = Dropout().train(training)
        layer.force(mode)
        assert layer.drawing == draws
        assert (layer(X) is not X) == draws
        layer.force(None)
        assert layer.drawing == training

    def test_an_unknown_mode_is_refused(self) -> None:
        with pytest.raises(DropkitError, match="mode must be one of"):
            Dropout().force("monte carlo")  # type: ignore[arg-type]  # the point


class Net(nn.Module):
    """A module of a user's own, with a layer and a function."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.dropout, self.last = nn.Linear(10, 8), Dropout(0.2), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = self.dropout(torch.relu(self.first(x)))
        y: Tensor = self.last(layers.functional.dropout(h, 0.1, self.training))
        return y


@pytest.mark.parametrize("build", [Net, lambda: nn.Sequential(nn.Linear(10, 8), Dropout(), nn.Linear(8, 2))])
def test_a_model_trains_and_evaluates(build: Any) -> None:
    torch.manual_seed(0)
    model = build()
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = (model(X) - 1).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] / 2
    assert not torch.equal(model(X), model(X))
    model.eval()
    assert torch.equal(model(X), model(X))


class TestFusedEncoder:
    """`nn.TransformerEncoderLayer` calls a fused kernel in eval that knows of no dropout."""

    X = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(0))

    @staticmethod
    def encoder(dropout: Layer) -> nn.TransformerEncoderLayer:
        torch.manual_seed(0)
        encoder = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
        encoder.set_submodule("dropout1", dropout)
        return encoder.eval()

    def test_a_factor_in_eval_is_not_skipped(self) -> None:
        encoder = self.encoder(Dropout(0.5, scale="eval"))
        with torch.no_grad():
            fused = encoder(self.X)
        torch.testing.assert_close(fused, encoder(self.X).detach())

    def test_a_forced_draw_is_not_skipped(self) -> None:
        encoder = self.encoder(Dropout(0.5))
        with torch.no_grad():
            before = encoder(self.X)
            with dropkit.mode(encoder.dropout1, "mc"):
                assert not torch.equal(encoder(self.X), encoder(self.X))
            assert torch.equal(encoder(self.X), before)

    def test_only_what_acts_in_eval_pays_for_it(self) -> None:
        layer = Dropout(0.5)
        assert not layer._forward_pre_hooks
        layer.force("mc")
        assert len(layer._forward_pre_hooks) == len(pickle.loads(pickle.dumps(layer))._forward_pre_hooks) == 1
        layer.force(None)
        assert not layer._forward_pre_hooks

    def test_a_copy_takes_its_hook_away_itself(self) -> None:
        layer = copy.deepcopy(Dropout(0.5, scale="eval"))
        assert layer.has_own_hook
        layer.describe(dropkit.Drop(0.5))
        assert not layer._forward_pre_hooks
