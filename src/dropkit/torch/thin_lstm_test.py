"""A thin LSTM is the masked one under the same key."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_sequence

import dropkit
from dropkit import DropkitError
from dropkit.torch import Stepper, ThinLSTM, under_key
from dropkit.torch.draws import below, fold

KEY, RATE = 5, 0.4
X = torch.randn(6, 3, 4, generator=torch.Generator().manual_seed(0))
SETTINGS: list[dict[str, Any]] = [
    {},
    {"num_layers": 2, "bias": False},
    {"bidirectional": True, "num_layers": 2},
]


def masked(layer: Any, x: Tensor, hx: Any, rate: float) -> tuple[Tensor, Tensor, Tensor]:
    """The whole network, step by step, what each unit shows multiplied by its coin."""
    size, directions = layer.hidden_size, 1 + layer.bidirectional
    hs, cs = [], []
    for number in range(layer.num_layers):
        sides = []
        for side in range(directions):
            place = number * directions + side
            gone = below(x.new_empty(size), rate, "d -> d", **fold("unit", {"key": KEY}, place))
            m = torch.where(gone, 0.0, 1 / (1 - rate) if rate < 1 else 0.0)
            w, u, *b = layer.all_weights[place]
            bias = b[0] + b[1] if b else 0.0
            h, c = hx[0][place], hx[1][place]
            steps = x.unbind(0)
            shown = []
            for step in reversed(steps) if side else steps:
                i, f, g, o = (step @ w.T + (m * h) @ u.T + bias).chunk(4, -1)
                c = f.sigmoid() * c + i.sigmoid() * g.tanh()
                h = o.sigmoid() * c.tanh()
                shown.append(m * h)
            sides.append(torch.stack(shown[::-1] if side else shown))
            hs.append(torch.where(gone, 0.0, h))
            cs.append(torch.where(gone, 0.0, c))
        x = torch.cat(sides, -1)
    return x, torch.stack(hs), torch.stack(cs)


@pytest.mark.parametrize("rate", [RATE, 1.0, 1e-9])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_it_is_the_masked_network_forward_and_backward(settings: dict[str, Any], rate: float) -> None:
    torch.manual_seed(1)
    layer = ThinLSTM(4, 8, p=rate, **settings)
    count = layer.num_layers * (1 + layer.bidirectional)
    found: list[list[Tensor]] = []
    for thin in (True, False):
        leaves = [X.clone().requires_grad_(), *torch.randn(2, count, 3, 8).mul(0).add(0.3).unbind(0)]
        states = [leaf.requires_grad_() for leaf in leaves[1:]]
        if thin:
            y, (h, c) = layer(leaves[0], (states[0], states[1]), key=KEY)
        else:
            y, h, c = masked(layer, leaves[0], states, rate)
        total = y.square().sum() + h.sum() + (2 * c).sum()
        wanted = [*leaves, *layer.parameters()]
        gradients = torch.autograd.grad(total, wanted, allow_unused=True, materialize_grads=True)
        found.append([y, h, c, *gradients])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("batch_first", [False, True])
def test_axes_lie_as_in_torch(batch_first: bool) -> None:
    torch.manual_seed(1)
    layer = ThinLSTM(4, 8, p=RATE, batch_first=batch_first)
    whole, (h, _) = layer(X.transpose(0, 1) if batch_first else X, key=KEY)
    whole = whole.transpose(0, 1) if batch_first else whole
    assert whole.shape == (6, 3, 8)
    alone, (one, _) = layer(X[:, 0], key=KEY)
    torch.testing.assert_close(alone, whole[:, 0])
    torch.testing.assert_close(one, h[:, 0])


def test_what_does_not_draw_is_torchs() -> None:
    layer, theirs = ThinLSTM(4, 8, 2, p=RATE).eval(), nn.LSTM(4, 8, 2)
    theirs.load_state_dict(layer.state_dict())
    for each in (layer, ThinLSTM(4, 8, 2, p=0.0)):
        each.load_state_dict(theirs.state_dict())
        assert torch.equal(each(X)[0], theirs(X)[0])


def test_the_mode_the_key_and_the_schedule_rule() -> None:
    layer = ThinLSTM(4, 8, p=dropkit.linear_schedule(0.0, 0.5, 10))
    assert torch.equal(layer(X)[0], layer(X)[0])
    Stepper(layer).move_to(10)
    torch.manual_seed(2)
    assert not torch.equal(layer(X)[0], layer(X)[0])
    with under_key(layer, 5):
        assert torch.equal(layer(X)[0], layer(X)[0])
    with dropkit.mode(layer.eval(), "mc"):
        torch.manual_seed(2)
        assert not torch.equal(layer(X)[0], layer(X)[0])


def test_an_eager_call_does_not_load_the_compiler() -> None:
    code = "import sys, torch; from dropkit.torch import ThinLSTM; ThinLSTM(4, 8)(torch.ones(2, 3, 4)); "
    code += "sys.exit('torch._dynamo' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_autocast_and_a_compiled_call_are_the_same_network() -> None:
    layer = ThinLSTM(4, 8, p=RATE)
    expected = layer(X, key=KEY)[0]
    with torch.autocast("cpu", torch.bfloat16):
        half = layer(X, key=KEY)[0]
    torch.testing.assert_close(half.float(), expected, rtol=0.1, atol=0.05)
    compiled = torch.compile(layer, backend="aot_eager")
    torch.testing.assert_close(compiled(X, key=KEY)[0], expected)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ThinLSTM(4, 8, p=1.5), "p must"),
        (lambda: ThinLSTM(4, 8, dropout=0.1), "dropout"),
        (lambda: ThinLSTM(4, 8, proj_size=2), "proj_size"),
        (lambda: ThinLSTM(4, 8)(pack_sequence([X[:, 0]])), "packed"),
        (lambda: ThinLSTM(4, 8)(X.long()), "floating type"),
        (lambda: ThinLSTM(4, 8)(torch.ones(4)), "has axes"),
        (lambda: torch.export.export(ThinLSTM(4, 8), (X,)), "not exported while it draws"),
        (lambda: ThinLSTM(4, 8)(torch.ones(2, 3, 5)), "has axes"),
        (lambda: ThinLSTM(4, 8)(X, (torch.ones(1, 2, 8), torch.ones(1, 2, 8))), "hx"),
    ],
)
def test_what_does_not_fit_is_refused(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(DropkitError, match=words):
        call()
