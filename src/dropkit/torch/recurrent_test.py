import copy
import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

import dropkit
from dropkit import Drop, Key
from dropkit.core.reference import mask
from dropkit.core.schedule import Early
from dropkit.methods.gal_dropout import gal_dropout
from dropkit.methods.rnn_drop import rnn_drop
from dropkit.methods.semeniuta_dropout import semeniuta_dropout
from dropkit.methods.zaremba_dropout import zaremba_dropout
from dropkit.torch import DropGRU, DropLSTM, DropRNN, recurrent, set_rates, under_key

KINDS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "lstm": (DropLSTM, nn.LSTM, {}),
    "lstm without bias": (DropLSTM, nn.LSTM, {"bias": False}),
    "projected lstm": (DropLSTM, nn.LSTM, {"proj_size": 3}),
    "gru": (DropGRU, nn.GRU, {}),
    "rnn": (DropRNN, nn.RNN, {}),
    "relu rnn": (DropRNN, nn.RNN, {"nonlinearity": "relu"}),
}
LENGTHS = torch.tensor([4, 7, 1, 5])
ONES = Drop(1e-12, "b t d -> b d", scale="none")
"""A rate so small that its threshold is 0: it drops nothing and scales nothing, but takes the loop."""

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
every_kind = pytest.mark.parametrize("kind", KINDS)


def flat(states: Any) -> tuple[torch.Tensor, ...]:
    return states if isinstance(states, tuple) else (states,)


def forms(batch_first: bool) -> dict[str, Any]:
    """One batch of 4 sequences in every form that torch takes."""
    x = torch.randn(4, 7, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    by_length = LENGTHS.argsort(descending=True)
    return {
        "batched": x if batch_first else x.transpose(0, 1),
        "unbatched": x[0],
        "one step": x[:, :1] if batch_first else x[:, :1].transpose(0, 1),
        "packed": pack_padded_sequence(x, LENGTHS, batch_first=True, enforce_sorted=False),
        "packed in order": pack_padded_sequence(x[by_length], LENGTHS[by_length], batch_first=True),
    }


def pair(kind: str, bidirectional: bool = False, batch_first: bool = False, **sites: Any) -> tuple[Any, Any]:
    """Our module and torch's, with the same weights."""
    ours, theirs, how = KINDS[kind]
    how = how | {"bidirectional": bidirectional, "batch_first": batch_first, "dtype": torch.float64}
    mine, torchs = ours(4, 5, 2, **how, **sites), theirs(4, 5, 2, **how)
    torchs.load_state_dict(mine.state_dict())
    return mine, torchs


def assert_same(ours: Any, theirs: Any, mine: nn.Module, torchs: nn.Module) -> None:
    (y, states), (expected, final) = ours, theirs
    assert isinstance(y, PackedSequence) == isinstance(expected, PackedSequence)
    if isinstance(y, PackedSequence):
        assert torch.equal(y.batch_sizes, expected.batch_sizes)
        y, expected = y.data, expected.data
    for got, wanted in zip((y, *flat(states)), (expected, *flat(final)), strict=True):
        assert got.shape == wanted.shape
        assert torch.allclose(got, wanted, rtol=1e-12, atol=1e-12)
    losses = [
        sum((part**2).sum() for part in (out, *flat(last))) for out, last in ((y, states), (expected, final))
    ]
    grads = [
        torch.autograd.grad(loss, list(net.parameters()))
        for loss, net in zip(losses, (mine, torchs), strict=True)
    ]
    for got, wanted in zip(*grads, strict=True):
        assert torch.allclose(got, wanted, rtol=1e-9, atol=1e-11)


@every_kind
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("looped", [False, True])
def test_without_a_drop_it_is_torchs_own(kind: str, bidirectional: bool, looped: bool) -> None:
    for batch_first, given in itertools.product((False, True), (False, True)):
        mine, torchs = pair(kind, bidirectional, batch_first, state=ONES if looped else 0.0)
        for x in forms(batch_first).values():
            hx = None
            if given:
                _, hx = torchs(x)
                hx = tuple(part.detach() for part in hx) if isinstance(hx, tuple) else hx.detach()
            assert_same(mine(x, hx), torchs(x, hx), mine, torchs)


@every_kind
def test_evaluation_is_torchs_own_whatever_the_sites(kind: str) -> None:
    sites: dict[str, Any] = {"input": 0.5, "between": 0.5, "output": 0.5, "state": 0.5}
    mine, torchs = pair(kind, True, **sites)
    x = forms(False)["batched"]
    assert_same(mine.eval()(x), torchs.eval()(x), mine, torchs)


def masks(site: str, drop: Drop, shape: tuple[int, ...], layer: Any, key: Key) -> np.ndarray:
    return np.asarray(mask(key.fold(f"{site}.{layer}"), shape, drop))


def sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-x)))


def gates(x: np.ndarray, weight: np.ndarray, m: np.ndarray | float) -> np.ndarray:
    """W (x m), with a mask for each gate where there is one."""
    if np.ndim(m) == 3:
        parts = weight.reshape(np.shape(m)[1], -1, weight.shape[1])
        return np.concatenate([(x * m[:, g]) @ part.T for g, part in enumerate(parts)], -1)  # type: ignore[index]  # an array
    return np.asarray((x * m) @ weight.T)


ALL: dict[str, Any] = {
    "input": Drop(0.3, "b t d -> b d"),
    "between": Drop(0.4, "b t d -> b t d"),
    "output": Drop(0.2, "b t d -> b d", noise="gaussian"),
    "state": Drop(0.5, "b t d -> b d"),
    "candidate": Drop(0.3, "b t d -> b t d"),
    "cell": Drop(0.2, "b t d -> b d"),
    "zoneout": Drop(0.3, "b t d -> b t d", scale="eval"),
    "cell_zoneout": Drop(0.4, "b t d -> b t d", scale="eval"),
}
UNTIED = {**gal_dropout(0.4, untied=True), "candidate": ALL["candidate"]}
NAIVE = gal_dropout(0.4, fresh=True)
NAIVE_UNTIED = gal_dropout(0.4, untied=True, fresh=True)


@pytest.mark.parametrize(
    "sites", [ALL, UNTIED, NAIVE, NAIVE_UNTIED, {"candidate": Drop(0.3), "input": ALL["input"]}]
)
@pytest.mark.parametrize("kind", ["lstm", "gru"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_equals_the_papers_law_on_numpy_under_the_same_key(
    sites: dict[str, Any], kind: str, bidirectional: bool
) -> None:
    key, known = Key(11).fold("step", 3), KINDS[kind][0].known
    sites = {name: drop for name, drop in sites.items() if name in known}
    net, _ = pair(kind, bidirectional, True, **sites)
    x = forms(True)["batched"]
    y, _ = net(x, key=key)
    assert y.detach().numpy() == pytest.approx(on_numpy(net, x.numpy(), sites, key), rel=1e-9, abs=1e-12)


def on_numpy(net: Any, x: np.ndarray, sites: dict[str, Any], key: Key) -> np.ndarray:
    """Both layers, step by step, as the papers write them."""
    weights = {name: value.detach().numpy() for name, value in net.named_parameters()}
    for layer in range(2):
        site = "between" if layer else "input"
        drop, entering = sites.get(site), None
        if drop is not None and len(drop.groups.parsed.left) == 4:
            gated = (*x.shape[:2], 3 if net.mode == "GRU" else 4, x.shape[2])
            entering = masks(site, drop, gated, layer, key)
        elif drop is not None:
            x = x * masks(site, drop, x.shape, layer, key)
        runs = []
        for way in range(2 if net.bidirectional else 1):
            suffix = f"_l{layer}" + "_reverse" * way
            own = {name.removesuffix(suffix): w for name, w in weights.items() if name.endswith(suffix)}
            m = inner(net, sites, x.shape[:2], f"{layer}.{way}", key)
            runs.append(run(net.mode, x, own, entering, m, way == 1))
        x = np.concatenate(runs, -1)
    return x * masks("output", sites["output"], x.shape, 0, key) if "output" in sites else x


def inner(
    net: Any, sites: dict[str, Any], lead: tuple[int, ...], where: str, key: Key
) -> dict[str, np.ndarray]:
    found = {}
    for site in set(sites) - {"input", "between", "output"}:
        gated = len(sites[site].groups.parsed.left) == 4
        middle = (3 if net.mode == "GRU" else 4,) if gated else ()
        found[site] = masks(site, sites[site], (*lead, *middle, net.hidden_size), where, key)
    return found


def run(
    mode: str,
    x: np.ndarray,
    w: dict[str, np.ndarray],
    entering: Any,
    m: dict[str, np.ndarray],
    backwards: bool,
) -> np.ndarray:
    rows, steps, _ = x.shape
    h = c = np.zeros((rows, w["weight_hh"].shape[1]))
    outputs = [h] * steps
    for t in reversed(range(steps)) if backwards else range(steps):
        at: dict[str, Any] = {site: drawn[:, t] for site, drawn in m.items()}
        into = gates(x[:, t], w["weight_ih"], 1.0 if entering is None else entering[:, t]) + w["bias_ih"]
        back = gates(h, w["weight_hh"], at.get("state", 1.0)) + w["bias_hh"]
        zoned, before = at.get("zoneout", 1.0), c
        if mode == "LSTM":
            i, f, g, o = np.split(into + back, 4, -1)
            c = sigmoid(f) * c + sigmoid(i) * (np.tanh(g) * at.get("candidate", 1.0))
            c = c * at.get("cell", 1.0)
            new = sigmoid(o) * np.tanh(c)
            c = at.get("cell_zoneout", 1.0) * c + (1 - at.get("cell_zoneout", 1.0)) * before
        else:
            (r, z, n), (r_, z_, n_) = np.split(into, 3, -1), np.split(back, 3, -1)
            candidate = np.tanh(n + sigmoid(r + r_) * n_) * at.get("candidate", 1.0)
            new = (1 - sigmoid(z + z_)) * candidate + sigmoid(z + z_) * h
        outputs[t] = h = zoned * new + (1 - zoned) * h
    return np.stack(outputs, 1)


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
def test_a_packed_batch_meets_the_masks_of_the_padded_one(kind: str) -> None:
    known = KINDS[kind][0].known
    net, _ = pair(kind, batch_first=True, **{name: drop for name, drop in ALL.items() if name in known})
    whole, states = net(forms(True)["batched"], key=3)
    packed, last = net(forms(True)["packed"], key=3)
    y, lengths = pad_packed_sequence(packed, batch_first=True)
    for row, length in enumerate(lengths):
        assert torch.allclose(y[row, :length], whole[row, :length])
    assert torch.allclose(flat(last)[0][:, 1], flat(states)[0][:, 1])
    assert not torch.allclose(flat(last)[0][:, 0], flat(states)[0][:, 0])


def test_the_order_of_the_axes_does_not_move_the_masks() -> None:
    first, _ = pair("lstm", batch_first=True, **ALL)
    second = copy.deepcopy(first)
    second.batch_first = False
    x = forms(True)["batched"]
    assert torch.equal(first(x, key=5)[0], second(x.transpose(0, 1), key=5)[0].transpose(0, 1))


def no_loop(*_: Any, **__: Any) -> Any:
    raise AssertionError("a loop over the steps")


@pytest.mark.parametrize(
    "sites", [zaremba_dropout(0.3), {"input": 0.3, "between": 0.2, "output": 0.1}, {"dropout": 0.3}]
)
def test_noise_outside_of_the_recurrence_takes_the_fused_kernel(
    sites: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recurrent, "recur", no_loop)
    net, _ = pair("lstm", **sites)
    assert not torch.equal(net(forms(False)["batched"])[0], net(forms(False)["batched"])[0])


@pytest.mark.parametrize("sites", [gal_dropout(0.3), semeniuta_dropout(0.3), rnn_drop(0.3)])
def test_noise_inside_takes_the_loop_in_training_alone(
    sites: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recurrent, "recur", no_loop)
    net, _ = pair("lstm", **sites)
    net.eval()(forms(False)["batched"])
    with pytest.raises(AssertionError, match="a loop over the steps"):
        net.train()(forms(False)["batched"])


def test_dropout_is_torchs_between_the_layers_and_nowhere_else() -> None:
    net, _ = pair("lstm", batch_first=True, dropout=0.5)
    x = forms(True)["batched"]
    lower = DropLSTM(4, 5, batch_first=True, dtype=torch.float64)
    upper = DropLSTM(5, 5, batch_first=True, dtype=torch.float64)
    weights = net.state_dict()
    lower.load_state_dict({name: w for name, w in weights.items() if name.endswith("l0")})
    upper.load_state_dict({name.replace("l1", "l0"): w for name, w in weights.items() if name.endswith("l1")})
    between, _ = lower(x)
    factor = mask(Key(4).fold("between.1"), tuple(between.shape), Drop(0.5))
    assert torch.allclose(net(x, key=4)[0], upper(between * torch.from_numpy(factor))[0])


def test_zoneout_takes_its_mean_in_evaluation() -> None:
    net, _ = pair("gru", batch_first=True, zoneout=0.25)
    x = forms(True)["batched"]
    weights = {
        name.removesuffix("_l0"): w.detach().numpy() for name, w in net.named_parameters() if "_l0" in name
    }
    expected = run("GRU", x.numpy(), weights, None, {"zoneout": np.full((4, 7, 5), 0.75)}, False)
    lower = DropGRU(4, 5, batch_first=True, dtype=torch.float64, zoneout=0.25).eval()
    lower.load_state_dict({name: w for name, w in net.state_dict().items() if name.endswith("l0")})
    assert lower(x)[0].detach().numpy() == pytest.approx(expected, rel=1e-9, abs=1e-12)


class TestRateOne:
    """Everything is dropped: finite numbers, forwards and backwards."""

    X = torch.randn(3, 6, 4, generator=torch.Generator().manual_seed(2))

    @pytest.mark.parametrize("name", DropLSTM.known)
    def test_gradients_are_finite(self, name: str) -> None:
        site: dict[str, Any] = {name: 1.0}
        net = DropLSTM(4, 5, 2, **site)
        net(self.X)[0].sum().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())

    def test_an_input_that_is_dropped_is_no_input(self) -> None:
        net = DropLSTM(4, 5, input=1.0)
        assert torch.equal(
            net(torch.full_like(self.X, float("nan")))[0], net.eval()(torch.zeros_like(self.X))[0]
        )

    def test_a_cell_without_memory_gives_nothing(self) -> None:
        assert not DropLSTM(4, 5, cell=1.0)(self.X)[0].any()

    def test_a_state_that_is_dropped_leaves_each_step_alone(self) -> None:
        net = DropRNN(4, 5, state=1.0)
        steps = torch.cat([net(step)[0] for step in self.X.unsqueeze(1)])
        assert torch.allclose(net(self.X)[0], steps)

    def test_zoneout_stays_where_it_began(self) -> None:
        h = torch.randn(1, 6, 5)
        assert torch.equal(DropGRU(4, 5, zoneout=1.0)(self.X, h)[1], h)


class TestModes:
    """Draws follow training, `dropkit.mode` and keys as those of every layer."""

    X = torch.randn(7, 3, 4, generator=torch.Generator().manual_seed(3))

    @pytest.mark.parametrize("site", ["input", "between", "state", "candidate", "cell", "zoneout"])
    def test_monte_carlo_draws_and_evaluation_comes_back(self, site: str) -> None:
        sites: dict[str, Any] = {site: 0.5}
        net = DropLSTM(4, 16, 2, **sites).eval()
        still = net(self.X)[0]
        with dropkit.mode(net, "mc"):
            first, second = net(self.X)[0], net(self.X)[0]
        assert not torch.equal(first, second)
        assert torch.equal(net(self.X)[0], still)

    def test_a_key_above_the_model_gives_each_layer_and_direction_masks_of_its_own(self) -> None:
        net = nn.Sequential(DropLSTM(4, 16, 2, bidirectional=True, state=Drop(0.5, "b t d -> b d")))
        seen: dict[tuple[str, str], torch.Tensor] = {}
        lstm: Any = net[0]
        factor = lstm._factor
        lstm._factor = lambda name, where, *rest: seen.setdefault((name, where), factor(name, where, *rest))
        with under_key(net, 5):
            first = net(self.X)[0]
            drawn = [seen["state", f"{layer}.{way}"] for layer in range(2) for way in range(2)]
            seen.clear()
            assert torch.equal(net(self.X)[0], first)
        assert all(not torch.equal(one, other) for one, other in itertools.combinations(drawn, 2))

    def test_torchs_seed_repeats_a_pass(self) -> None:
        net = DropGRU(4, 16, 2, state=0.5, input=0.3)
        torch.manual_seed(1)
        first = net(self.X)[0]
        assert not torch.equal(net(self.X)[0], first)
        torch.manual_seed(1)
        assert torch.equal(net(self.X)[0], first)
        assert torch.equal(net(self.X, generator=torch.Generator().manual_seed(1))[0], first)

    def test_rates_can_be_set_and_scheduled(self) -> None:
        net = DropLSTM(4, 16, input=0.5, state=Early(0.5, 10))
        assert [site.p for site in net.sites.values()] == [0.5, 0.5]
        set_rates(net, 0.1)
        assert [site.p for site in net.sites.values()] == [0.1, 0.1]
        set_rates(net, 0.0)
        assert torch.equal(net(self.X)[0], net.eval()(self.X)[0])

    def test_a_graph_equals_eager_mode(self) -> None:
        net = DropLSTM(4, 8, input=0.5, state=0.4, zoneout=0.1)
        compiled: Any = torch.compile(net, backend="aot_eager")
        with torch.no_grad():  # where a graph breaks, the compiler's own look at a gradient warns
            assert torch.allclose(compiled(self.X, key=7)[0], net(self.X, key=7)[0], atol=1e-6)

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    def test_half_precision_stays_half(self, dtype: torch.dtype) -> None:
        net = DropLSTM(4, 8, dtype=dtype, **ALL)
        y, (h, c) = net(self.X.to(dtype))
        assert {y.dtype, h.dtype, c.dtype} == {dtype}
        assert y.isfinite().all()


@every_kind
def test_weights_load_both_ways_and_copies_draw_alike(kind: str) -> None:
    mine, torchs = pair(kind, True, state=0.5, input=0.3)
    assert list(mine.state_dict()) == list(torchs.state_dict())
    mine.load_state_dict(torchs.state_dict())
    x = forms(False)["batched"]
    assert torch.equal(copy.deepcopy(mine)(x, key=1)[0], mine(x, key=1)[0])
    assert isinstance(mine, type(torchs))


def test_the_weights_of_each_layer_are_laid_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    net = DropLSTM(4, 5, 3, bidirectional=True, proj_size=2)
    monkeypatch.setattr(nn.RNNBase, "flatten_parameters", asked.append)
    net.flatten_parameters()
    assert [(len(each._flat_weights), each.input_size, each.num_layers) for each in asked] == [
        (10, 4, 1),
        (10, 4, 1),
        (10, 4, 1),
    ]
    assert [
        w is v for each, w in zip(asked, net._flat_weights[::10], strict=True) for v in each._flat_weights[:1]
    ] == [True] * 3
