import copy
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import dropkit
from dropkit import Drop, DropkitError
from dropkit.torch import DropPath, SkipBranch, Thinned, functional

RATE, KEY = 0.4, 11
PAIRS: dict[str, tuple[Any, tuple[int, ...], str]] = {
    "linear": (lambda: (nn.Linear(6, 40), nn.Linear(40, 5)), (7, 6), "b d -> d"),
    "linear over time": (lambda: (nn.Linear(6, 40, bias=False), nn.Linear(40, 5)), (3, 4, 6), "b t d -> d"),
    "convolution": (lambda: (nn.Conv2d(3, 40, 3, 2, 1), nn.Conv2d(40, 5, 1)), (2, 3, 8, 9), "b c h w -> c"),
    "convolution in time": (
        lambda: (nn.Conv1d(3, 40, 3, padding=1, padding_mode="circular"), nn.Conv1d(40, 5, 3)),
        (2, 3, 9),
        "b c t -> c",
    ),
}


def numbers(model: nn.Module, output: Tensor, x: Tensor) -> list[Tensor]:
    """The output and all gradients of a sum of it."""
    weights = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).reshape(output.shape)
    return [output.detach(), *torch.autograd.grad((output * weights).sum(), [x, *model.parameters()])]


@pytest.mark.parametrize("between", [None, nn.ReLU(), nn.GELU()])
@pytest.mark.parametrize("pair", PAIRS)
def test_a_thin_step_is_the_masked_one(pair: str, between: nn.Module | None) -> None:
    make, shape, pattern = PAIRS[pair]
    torch.manual_seed(0)
    first, second = (layer.double() for layer in make())
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    thin = Thinned(first, second, RATE, between)
    hidden = (between or nn.Identity())(first(x))
    masked = second(functional.drop(hidden, Drop(RATE, pattern), key=KEY))
    for ours, theirs in zip(numbers(thin, thin(x, key=KEY), x), numbers(thin, masked, x), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


def test_contiguous_units_fall_together_and_each_as_often() -> None:
    units, batch = 10, torch.eye(10)
    first, second = nn.Linear(10, units, bias=False), nn.Linear(units, 10, bias=False)
    with torch.no_grad():
        first.weight.copy_(torch.eye(units))
        second.weight.copy_(torch.eye(units))
    thin = Thinned(first, second, 0.3, contiguous=True)
    starts = set()
    for key in range(200):
        scales = thin(batch, key=key).diagonal()
        assert sorted(scales.tolist()) == pytest.approx([0.0] * 3 + [10 / 7] * 7)
        gone = (scales == 0).nonzero().squeeze(-1)
        first_gone = next(int(i) for i in gone if scales[(i - 1) % units] != 0)
        assert set(gone.tolist()) == {(first_gone + i) % units for i in range(3)}
        starts.add(first_gone)
    assert starts == set(range(units))


@pytest.mark.parametrize("contiguous", [False, True])
def test_gradients_of_units_that_fell_are_zero(contiguous: bool) -> None:
    thin = Thinned(nn.Linear(4, 30), nn.Linear(30, 3), 0.5, nn.Tanh(), contiguous=contiguous)
    thin(torch.ones(2, 4), key=3).sum().backward()
    rows, columns = thin.first.weight.grad, thin.second.weight.grad
    assert ((rows == 0).all(1) == (columns == 0).all(0)).all()
    assert 0 < int((rows == 0).all(1).sum()) < 30


@pytest.mark.parametrize("contiguous", [False, True])
def test_eval_mode_and_rates_0_and_1(contiguous: bool) -> None:
    first, second, x = nn.Linear(4, 8), nn.Linear(8, 3), torch.ones(2, 4)
    plain = second(first(x))
    thin = Thinned(first, second, 0.5, contiguous=contiguous)
    assert torch.equal(thin.eval()(x), plain)
    with dropkit.mode(thin, "mc"):
        assert not torch.equal(thin(x, key=1), plain)
    assert torch.equal(Thinned(first, second, 0.0, contiguous=contiguous)(x), plain)
    nothing = Thinned(first, second, 1.0, contiguous=contiguous)(x)
    assert torch.equal(nothing, second.bias.expand(2, 3))
    nothing.sum().backward()
    assert copy.deepcopy(thin).state_dict().keys() == {
        "first.weight",
        "first.bias",
        "second.weight",
        "second.bias",
    }


@pytest.mark.parametrize("scale_by_keep", [True, False])
def test_a_skipped_branch_is_stochastic_depth(scale_by_keep: bool) -> None:
    torch.manual_seed(0)
    branch = nn.Sequential(nn.Linear(5, 9), nn.ReLU(), nn.Linear(9, 5)).double()
    x = torch.randn(16, 3, 5, dtype=torch.float64, requires_grad=True)
    skipping = SkipBranch(branch, RATE, scale_by_keep=scale_by_keep)
    masked = x + DropPath(RATE, scale_by_keep=scale_by_keep)(branch(x), key=KEY)
    ours, theirs = numbers(skipping, skipping(x, key=KEY), x), numbers(skipping, masked, x)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


def test_a_branch_sees_the_kept_samples_alone() -> None:
    seen: list[int] = []
    branch = nn.Linear(2, 2)
    branch.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    SkipBranch(branch, 0.5)(torch.ones(1000, 2), key=2)
    kept = int((dropkit.mask(2, (1000,), Drop(0.5)) != 0).sum())
    assert seen == [kept]
    assert torch.equal(SkipBranch(branch, 1.0)(torch.ones(3, 2)), torch.ones(3, 2))
    assert len(seen) == 1
    plain = SkipBranch(branch, 0.5).eval()(torch.ones(3, 2))
    assert torch.equal(plain, torch.ones(3, 2) + branch(torch.ones(3, 2)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Thinned(nn.Linear(2, 3), nn.Linear(4, 2)), "second takes what first gives"),
        (lambda: Thinned(nn.Linear(2, 3), nn.Conv1d(3, 2, 1)), "second takes what first gives"),
        (lambda: Thinned(nn.ReLU(), nn.Linear(4, 2)), "first is an nn.Linear"),
        (lambda: Thinned(nn.Conv2d(4, 4, 1, groups=2), nn.Conv2d(4, 4, 1)), "without groups"),
        (lambda: Thinned(nn.Linear(2, 3), nn.Linear(3, 2), 1.2), r"p must be a number in \[0, 1\]"),
        (lambda: Thinned(nn.Linear(2, 3), nn.Linear(3, 2), 0.5, nn.LayerNorm(3)), "between has no param"),
        (lambda: SkipBranch(nn.Linear(2, 2), -0.1), r"p must be a number in \[0, 1\]"),
        (lambda: SkipBranch(nn.Linear(2, 2))(torch.tensor(1.0)), "input has a batch axis"),
        (lambda: SkipBranch(nn.Linear(2, 2))(torch.ones(2, 2).long()), "real floating type"),
    ],
)
def test_what_does_not_fit_is_refused(make: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        make()


LAYERS: dict[str, Any] = {
    "branch": lambda: SkipBranch(nn.Linear(8, 8), 0.5),
    "thinned": lambda: Thinned(nn.Linear(8, 8), nn.Linear(8, 8), 0.5),
    "contiguous": lambda: Thinned(nn.Linear(8, 8), nn.Linear(8, 8), 0.5, contiguous=True),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_graph_breaks_and_skips_what_eager_mode_skips(name: str) -> None:
    layer, x = LAYERS[name](), torch.randn(6, 8)
    compiled: Any = torch.compile(layer, backend="aot_eager")
    for key in range(3):
        torch.testing.assert_close(compiled(x, key=key), layer(x, key=key))
    assert compiled(x).isfinite().all()


@pytest.mark.parametrize("name", LAYERS)
def test_an_export_is_refused_in_words_unless_nothing_is_drawn(name: str) -> None:
    layer, x = LAYERS[name](), torch.randn(6, 8)
    with pytest.raises(DropkitError, match="model is not exported while it draws"):
        torch.export.export(layer, (x,))
    exported = torch.export.export(layer.eval(), (x,)).module()
    torch.testing.assert_close(exported(x), layer(x))


@pytest.mark.parametrize("name", LAYERS)
def test_a_functional_gradient_is_that_of_backward(name: str) -> None:
    layer, x = LAYERS[name](), torch.randn(6, 8, requires_grad=True)
    (expected,) = torch.autograd.grad(layer(x, key=1).sum(), x)
    torch.testing.assert_close(torch.func.grad(lambda x: layer(x, key=1).sum())(x.detach()), expected)


@pytest.mark.parametrize("name", ["branch", "thinned"])
def test_where_draws_cannot_be_read_it_is_said(name: str) -> None:
    layer, x = LAYERS[name](), torch.randn(2, 6, 8)
    with pytest.raises(DropkitError, match="input is a tensor whose draws can be read"):
        torch.func.vmap(lambda x: layer(x, key=1))(x)
    with pytest.raises(DropkitError, match="input is a tensor whose draws can be read"):
        layer.to("meta")(x[0].to("meta"))


def normed(layer: nn.Module) -> nn.Module:
    """A layer under the old hook, whose class stays."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return nn.utils.weight_norm(layer)


@pytest.mark.parametrize("name", ["thinned", "contiguous"])
def test_a_weight_that_follows_from_others_is_refused(name: str) -> None:
    with pytest.raises(DropkitError, match="first has its weight as a parameter"):
        Thinned(normed(nn.Linear(2, 2)), nn.Linear(2, 2), contiguous=name == "contiguous")


@pytest.mark.parametrize("contiguous", [False, True])
def test_function_transforms_give_the_gradients_of_backward(contiguous: bool) -> None:
    layer, x = Thinned(nn.Linear(3, 8), nn.Linear(8, 2), contiguous=contiguous), torch.ones(4, 3)
    own: dict[str, Any] = dict(layer.named_parameters())

    def loss(values: dict[str, Any]) -> Tensor:
        y: Tensor = torch.func.functional_call(layer, values, (x,), {"key": 3}).square().sum()
        return y

    slopes = torch.func.grad(loss)(own)
    torch.autograd.backward(loss(own))
    for name, parameter in own.items():
        torch.testing.assert_close(slopes[name], parameter.grad)


@pytest.mark.parametrize("contiguous", [False, True])
def test_a_convolution_without_a_channel_left_gives_the_bias_and_no_slope(contiguous: bool) -> None:
    first, second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 3)
    layer = Thinned(first, second, 1.0, nn.ReLU(), contiguous=contiguous)
    x = torch.randn(2, 3, 9, 9, requires_grad=True)
    y = layer(x)
    torch.testing.assert_close(y, second(torch.zeros(2, 4, 7, 7)))
    y.sum().backward()
    for slope in (x.grad, first.weight.grad, second.weight.grad):
        assert slope is not None
        assert not slope.any()


@pytest.mark.parametrize("between", [nn.Softmax(-1), nn.LayerNorm(8, elementwise_affine=False)])
def test_what_mixes_units_is_refused_between_the_layers(between: nn.Module) -> None:
    with pytest.raises(DropkitError, match="between acts on each unit by itself"):
        Thinned(nn.Linear(4, 8), nn.Linear(8, 2), 0.5, between)


def test_a_branch_of_another_shape_is_refused() -> None:
    with pytest.raises(DropkitError, match=r"branch gives the shape that it takes, \(6,\) a sample"):
        SkipBranch(nn.Linear(6, 5), 0.5)(torch.ones(40, 6), key=1)
