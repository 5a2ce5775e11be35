import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import dropkit
from dropkit import DropkitError
from dropkit.core.choose import kept_places
from dropkit.core.reference import draws
from dropkit.torch import TokenDropping

X = torch.linspace(-1, 1, 3 * 11 * 4, dtype=torch.float64).cos().reshape(3, 11, 4)


class Negated(nn.Module):
    """Marks what goes through, and keeps what it was given."""

    def forward(self, x: torch.Tensor, **given: Any) -> torch.Tensor:
        self.x, self.given = x, given
        return -x


def law(removed: int, key: int, free: np.ndarray | None = None) -> torch.Tensor:
    u = draws(key, (3, 11)).u
    kept = kept_places(u, np.ones((3, 11), bool) if free is None else free, removed, np)
    through = np.zeros((3, 11, 1), bool)
    np.put_along_axis(through, kept[..., None], True, 1)
    return torch.from_numpy(through)


@pytest.mark.parametrize(("p", "removed"), [(0.0, 0), (0.3, 3), (0.5, 5), (1.0, 10)])
def test_chosen_tokens_go_through_in_order_and_the_others_stay_in_place(p: float, removed: int) -> None:
    layer = Negated()
    y = TokenDropping(layer, p)(X, key=5)
    through = law(removed, 5)
    assert torch.equal(y, torch.where(through, -X, X))
    assert torch.equal(layer.x, X[through[..., 0]].reshape(3, 11 - removed, 4))


def test_protected_tokens_always_go_through() -> None:
    protected = torch.zeros(3, 11, dtype=torch.bool)
    protected[1, 4:] = True
    y = TokenDropping(Negated(), 1.0, prefix=2)(X, protected=protected, key=2)
    assert torch.equal(y[:, :2], -X[:, :2])
    assert torch.equal(y[protected], -X[protected])
    # The second sample has two tokens left that may skip, of which one goes through.
    assert torch.equal((y == X).all(-1).sum(-1), torch.ones(3, dtype=torch.int64))


def test_evaluation_runs_the_layer_on_everything_and_mc_skips() -> None:
    layer = TokenDropping(Negated(), 0.5).eval()
    assert torch.equal(layer(X), -X)
    with dropkit.mode(layer, "mc"):
        assert torch.equal(layer(X, key=3), torch.where(law(5, 3), -X, X))


def test_gradient_goes_beside_the_layer_and_through_it() -> None:
    x = X.clone().requires_grad_()
    TokenDropping(Negated(), 0.5)(x, key=4).sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, torch.where(law(5, 4), -1.0, 1.0).double().expand(3, 11, 4))


def test_masks_are_cut_with_the_tokens() -> None:
    layer = Negated()
    padding, causal = torch.arange(33).reshape(3, 11), torch.ones(11, 11).tril()
    TokenDropping(layer, 0.5)(X, key=5, src_key_padding_mask=padding, src_mask=causal, is_causal=True)
    through = law(5, 5)[..., 0]
    assert torch.equal(layer.given["src_key_padding_mask"], padding[through].reshape(3, 6))
    assert torch.equal(layer.given["src_mask"], torch.ones(6, 6).tril())
    assert layer.given["is_causal"]


def test_a_transformer_runs_with_wrapped_middle_layers() -> None:
    torch.manual_seed(0)
    kind = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    model = nn.TransformerEncoder(kind, 3, enable_nested_tensor=False)
    plain = copy.deepcopy(model)
    model.layers[1] = TokenDropping(model.layers[1], 0.5)
    x, causal = torch.randn(2, 7, 8), nn.Transformer.generate_square_subsequent_mask(7)
    padding = torch.arange(7).expand(2, 7) > 5
    y = model(x, mask=causal, src_key_padding_mask=padding.float().masked_fill(padding, -torch.inf))
    assert y.isfinite().all()
    y.sum().backward()
    assert torch.allclose(model.eval()(x), plain.eval()(x), atol=1e-6)
    assert {name.replace(".layer.", ".") for name in model.state_dict()} == set(plain.state_dict())


def test_a_tuple_keeps_its_tail() -> None:
    class Pair(nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, str]:
            return -x, "weights"

    y, tail = TokenDropping(Pair(), 0.5)(X, key=5)
    assert torch.equal(y, torch.where(law(5, 5), -X, X))
    assert tail == "weights"


def test_a_graph_skips_what_eager_mode_skips() -> None:
    layer = TokenDropping(nn.Linear(4, 4).double(), 0.5)
    compiled: Any = torch.compile(layer, backend="aot_eager", fullgraph=True)
    assert torch.allclose(compiled(X, key=8), layer(X, key=8), rtol=1e-14)


def test_copies_pickles_and_states_keep_the_weights() -> None:
    layer = TokenDropping(nn.Linear(4, 4).double(), 0.5, prefix=1)
    assert set(layer.state_dict()) == {"layer.weight", "layer.bias"}
    expected = layer(X, key=1)
    assert torch.equal(copy.deepcopy(layer)(X, key=1), expected)
    assert torch.equal(pickle.loads(pickle.dumps(layer))(X, key=1), expected)
    other = TokenDropping(nn.Linear(4, 4).double(), 0.5, prefix=1)
    other.load_state_dict(layer.state_dict())
    assert torch.equal(other(X, key=1), expected)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: TokenDropping(nn.Identity(), 1.1), "p must be a number in"),
        (lambda: TokenDropping(0.5), "layer must be a Module"),  # type: ignore[arg-type]  # that is the point
        (lambda: TokenDropping(nn.Identity(), 0.5, prefix=0.5), "prefix must be a whole number"),  # type: ignore[arg-type]  # that too
        (lambda: TokenDropping(nn.Identity(), 0.5, per_token="mask"), "per_token is a list of names"),
        (lambda: TokenDropping(nn.Identity(), 0.5)(torch.ones(3, 4)), "input has axes"),
        (lambda: TokenDropping(nn.Linear(4, 5).double(), 0.5)(X), "layer returns a tensor of the shape"),
        (lambda: TokenDropping(nn.Identity(), 0.5)(X, protected=torch.ones(3)), "protected is a bool tensor"),
    ],
)
def test_what_is_wrong_is_said(call: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        call()


BAND = (torch.arange(11)[:, None] - torch.arange(11)).abs() <= 1


def cut_by_hand(mask: torch.Tensor) -> torch.Tensor:
    """Of each sample the rows and columns that go through, of masks (3, 11, 11)."""
    return torch.stack([own[kept][:, kept] for own, kept in zip(mask, law(5, 5)[..., 0], strict=True)])


def test_a_mask_for_all_becomes_one_a_sample_and_head() -> None:
    layer = Negated()
    layer.attention = nn.MultiheadAttention(4, 2)
    TokenDropping(layer, 0.5)(X, key=5, src_mask=BAND)
    expected = cut_by_hand(BAND.expand(3, 11, 11))
    assert torch.equal(layer.given["src_mask"].reshape(3, 2, 6, 6), expected[:, None].expand(3, 2, 6, 6))
    TokenDropping(layer, 0.5)(X, key=5, src_mask=BAND.tril(), is_causal=True)
    assert layer.given["src_mask"].shape == (6, 6)


@pytest.mark.parametrize("lead", [(3,), (6,), (3, 2)])
def test_masks_of_samples_and_heads_are_cut_each(lead: tuple[int, ...]) -> None:
    layer, mask = Negated(), torch.rand(*lead, 11, 11)
    TokenDropping(layer, 0.5)(X, key=5, src_mask=mask)
    found = layer.given["src_mask"]
    assert found.shape == (*lead, 6, 6)
    found, mask = found.reshape(3, -1, 6, 6), mask.reshape(3, -1, 11, 11)
    for head in range(mask.shape[1]):
        assert torch.equal(found[:, head], cut_by_hand(mask[:, head]))


def test_a_layer_of_torch_sees_what_it_would_see_of_the_tokens_that_go_through() -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True).double()
    y = TokenDropping(layer, 0.5)(X, ~BAND, key=5)
    for sample, kept in enumerate(law(5, 5)[..., 0]):
        alone = layer(X[sample : sample + 1, kept], ~BAND[kept][:, kept])
        assert torch.allclose(y[sample : sample + 1, kept], alone, rtol=1e-10)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_it_may_be_the_first_layer_of_a_transformer() -> None:
    kind = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    model = nn.TransformerEncoder(kind, 2)
    plain = copy.deepcopy(model)
    model.layers[0] = TokenDropping(model.layers[0], 0.5)
    x, padding = torch.randn(2, 7, 8), torch.arange(7).expand(2, 7) > 4
    assert model(x, src_key_padding_mask=padding).isfinite().all()
    with torch.no_grad():
        y, expected = (net.eval()(x, src_key_padding_mask=padding) for net in (model, plain))
        with dropkit.mode(model, "mc"):
            drawn = model(x, src_key_padding_mask=padding)
    assert torch.allclose(y[:, :5], expected[:, :5], atol=1e-6)
    assert not torch.allclose(drawn[:, :5], expected[:, :5], atol=1e-6)
    assert not any(part.training for part in model.modules())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"src_mask": BAND}, "src_mask is causal, or one for each sample"),
        ({"src_mask": BAND[:5]}, r"src_mask has shape \(11, 11\)"),
        ({"src_mask": torch.ones(4, 11, 11)}, r"src_mask has shape \(11, 11\)"),
        ({"src_mask": torch.ones(11)}, r"src_mask has shape \(11, 11\)"),
        ({"src_mask": "causal"}, "src_mask must be a Tensor"),
        ({"src_key_padding_mask": torch.ones(3, 10)}, "src_key_padding_mask has one entry a token"),
    ],
)
def test_masks_that_do_not_fit_are_refused(arguments: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        TokenDropping(Negated(), 0.5)(X, key=5, **arguments)


def test_arguments_without_a_name_are_refused() -> None:
    with pytest.raises(DropkitError, match="arguments are given once"):
        TokenDropping(Negated(), 0.5)(X, BAND)
    layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True).double()
    with pytest.raises(DropkitError, match="arguments are given once"):
        TokenDropping(layer, 0.5)(X, BAND, src_mask=BAND)
