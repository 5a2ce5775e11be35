"""The fused forms are their plain compositions: the same masks, errors at most twice those of plain code."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

import dropkit
from dropkit.core.check import DropkitError
from dropkit.torch import functional, fused, native

RATES = [0.0, 0.3, 1.0]
HALVES = [torch.float16, torch.bfloat16]
ROWS, COLUMNS = 97, 131  # no multiples of a tile, of a vector
Form = Callable[..., Any]


@pytest.fixture(params=native.fused_sets(), autouse=True)
def instructions(request: pytest.FixtureRequest) -> Iterator[str]:
    native.use_fused(request.param)
    yield request.param
    native.use_fused(native.fused_sets()[0])


def forms(p: float) -> dict[str, tuple[Form, Form, list[tuple[int, ...]]]]:
    """Each form, its plain composition, and the shapes that both take."""
    key: Any = {"key": 4}
    x, vector = (ROWS, COLUMNS), (COLUMNS,)

    def act(name: str) -> tuple[Form, Form, list[tuple[int, ...]]]:
        function = fused.ACTIVATIONS[name]
        return (
            lambda x, b: fused.bias_act_dropout(x, b, p, name, **key),
            lambda x, b: functional.dropout(function(x + b), p, **key),
            [x, vector],
        )

    def normed(x: Tensor, r: Tensor, w: Tensor | None, b: Tensor | None) -> tuple[Tensor, Tensor]:
        added = r + functional.dropout(x, p, **key)
        return F.layer_norm(added, added.shape[-1:], w, b), added

    return {
        **{name: act(name) for name in fused.ACTIVATIONS},
        "no bias": (
            lambda x: fused.bias_act_dropout(x, None, p, "silu", **key),
            lambda x: functional.dropout(F.silu(x), p, **key),
            [x],
        ),
        "add": (
            lambda x, r: fused.dropout_add(x, r, p, **key),
            lambda x, r: r + functional.dropout(x, p, **key),
            [x, x],
        ),
        "norm": (
            lambda x, r, w, b: fused.dropout_add_layer_norm(x, r, w, b, p, prenorm=True, **key),
            normed,
            [x, x, vector, vector],
        ),
        "bare norm": (
            lambda x, r: fused.dropout_add_layer_norm(x, r, p=p, **key),
            lambda x, r: normed(x, r, None, None)[0],
            [x, x],
        ),
    }


FORMS = list(forms(0.0))


def values(shapes: list[tuple[int, ...]], dtype: torch.dtype) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [3 * torch.randn(shape, generator=generator).to(dtype) for shape in shapes]


def passes(form: Form, inputs: list[Tensor]) -> list[Tensor]:
    """Outputs and gradients."""
    leaves = [tensor.clone().requires_grad_() for tensor in inputs]
    found = form(*leaves)
    outputs = list(found) if isinstance(found, tuple) else [found]
    generator = torch.Generator().manual_seed(1)
    grads = [torch.randn(y.shape, generator=generator).to(y.dtype) for y in outputs]
    return [y.detach() for y in outputs] + list(torch.autograd.grad(outputs, leaves, grads))


@pytest.mark.parametrize("p", RATES)
@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("dtype", [torch.float32, *HALVES])
def test_errors_are_at_most_twice_those_of_plain_code(name: str, p: float, dtype: torch.dtype) -> None:
    ours, plain, shapes = forms(p)[name]
    inputs = values(shapes, dtype)
    exact = passes(plain, [tensor.double() for tensor in inputs])
    for found, usual, right in zip(passes(ours, inputs), passes(plain, inputs), exact, strict=True):
        assert found.dtype == dtype
        scale = right.abs().max()
        error, bound = ((each.double() - right).abs().max() for each in (found, usual))
        # One rounding of the result where plain code was exact by luck.
        assert error <= 2 * bound + torch.finfo(dtype).eps * scale


@pytest.mark.parametrize("name", FORMS)
def test_masks_are_those_of_the_plain_composition(name: str) -> None:
    ours, plain, shapes = forms(0.3)[name]
    inputs = values(shapes, torch.float32)
    inputs = [tensor.abs() + 1 for tensor in inputs]
    kept, wanted = (passes(form, inputs)[-len(inputs)] == 0 for form in (ours, plain))
    assert torch.equal(kept, wanted)
    assert kept.any() or name == "norm"


def test_the_native_loops_were_used(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[str] = []
    found = native.fused
    monkeypatch.setattr(native, "fused", lambda name: used.append(name) or found(name))  # type: ignore[func-returns-value]  # noted by the way
    for name in FORMS:
        ours, _, shapes = forms(0.3)[name]
        passes(ours, values(shapes, torch.float32))
    assert {"_activate_float32", "_activate_backward_float32", "_add_float32", "_norm_float32"} <= set(used)
    assert "_norm_backward_float32" in used


@pytest.mark.parametrize("name", FORMS)
def test_other_memory_and_types_take_the_plain_road(name: str) -> None:
    ours, plain, shapes = forms(0.3)[name]
    for inputs in (
        values(shapes, torch.float64),
        [t.t().contiguous().t() for t in values(shapes[:1], torch.float32)],
    ):
        inputs += values(shapes[len(inputs) :], inputs[0].dtype)
        for found, right in zip(passes(ours, inputs), passes(plain, inputs), strict=True):
            torch.testing.assert_close(found, right)


@pytest.mark.parametrize("name", FORMS)
def test_second_derivatives(name: str) -> None:
    ours, plain, shapes = forms(0.3)[name]

    def twice(form: Form) -> list[Tensor]:
        leaves = [tensor.requires_grad_() for tensor in values(shapes, torch.float32)]
        found = form(*leaves)
        y = found[0] * found[1] if isinstance(found, tuple) else found
        (first,) = torch.autograd.grad((y**2).sum(), leaves[:1], create_graph=True)
        return list(torch.autograd.grad((first**2).sum(), leaves, allow_unused=True))

    for found, right in zip(twice(ours), twice(plain), strict=True):
        torch.testing.assert_close(found, right, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("name", FORMS)
def test_tangents_are_those_of_a_product_with_the_mask(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mask = torch.from_numpy(dropkit.mask(4, (ROWS, COLUMNS), dropkit.Drop(0.3), dtype="float32"))
    form, plain, shapes = forms(0.3)[name]
    inputs = values(shapes, torch.float32)
    tangents = [x.flip(0) for x in inputs]
    found = torch.func.jvp(form, tuple(inputs), tuple(tangents))
    monkeypatch.setattr(functional, "dropout", lambda x, *_, **__: x * mask)
    torch.testing.assert_close(found, torch.func.jvp(plain, tuple(inputs), tuple(tangents)))


@pytest.mark.parametrize("name", FORMS)
def test_one_graph_when_compiled(name: str) -> None:
    ours, _, shapes = forms(0.3)[name]
    inputs = values(shapes, torch.float32)
    compiled = torch.compile(ours, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(*inputs), ours(*inputs))


def test_threads_change_no_bit_of_the_outputs() -> None:
    x, residual = values([(4096, 130), (4096, 130)], torch.float32)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(fused.dropout_add_layer_norm(x, residual, p=0.3, key=1))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def at_threads(count: int, name: str) -> list[Tensor]:
    """Outputs and gradients of enough rows for so many threads."""
    ours, _, shapes = forms(0.3)[name]
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        return passes(ours, values([(1031, COLUMNS) if len(s) > 1 else s for s in shapes], torch.float32))
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("name", FORMS)
def test_threads_change_gradients_by_the_last_bit_at_most(name: str) -> None:
    # A sum of so many numbers below 100, in double and in another order, before it is rounded to float.
    eps, sums = torch.finfo(torch.float32).eps, 1031**2 * 100 * torch.finfo(torch.float64).eps
    for found, alone in zip(at_threads(3, name), at_threads(1, name), strict=True):
        torch.testing.assert_close(found, alone, rtol=eps, atol=sums if found.ndim == 1 else 0)


def test_every_part_of_the_rows_sums_into_a_line_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[Tensor] = []
    made = fused._lines

    def noted(x: Tensor) -> Tensor:
        lines.append(made(x))
        return lines[-1]

    monkeypatch.setattr(fused, "_lines", noted)
    for name in ("relu", "norm"):
        at_threads(3, name)
    assert [len(line) for line in lines] == [3, 3, 3]
    assert all((line != 0).any(1).all() for line in lines)


def test_rows_without_variance_are_those_of_plain_code() -> None:
    x = torch.ones(3, 40).requires_grad_()
    y = fused.dropout_add_layer_norm(x, x.detach(), p=0.0, eps=1e-3)
    (grad,) = torch.autograd.grad(y, x, torch.linspace(-1, 1, 120).view(3, 40))
    plain = F.layer_norm(2 * x, (40,), eps=1e-3)
    (expected,) = torch.autograd.grad(plain, x, torch.linspace(-1, 1, 120).view(3, 40))
    torch.testing.assert_close(y, plain)
    torch.testing.assert_close(grad, expected / 2)


@pytest.mark.parametrize("name", fused.ACTIVATIONS)
def test_activations_of_zero_nan_and_large_numbers_are_those_of_torch(name: str) -> None:
    x, function = torch.tensor([0.0, -0.0, torch.nan, 1e-30, -1e-30, 80.0, -80.0]), fused.ACTIVATIONS[name]
    found = passes(lambda x: fused.bias_act_dropout(x, None, 0.0, name), [x])
    for ours, plain in zip(found, passes(lambda x: function(x), [x]), strict=True):
        torch.testing.assert_close(ours, plain, equal_nan=True)
    assert fused.bias_act_dropout(torch.tensor([torch.inf]), None, 0.0, name) == torch.inf


@pytest.mark.parametrize("default", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("name", FORMS)
def test_the_default_type_and_device_change_nothing(name: str, default: torch.dtype) -> None:
    ours, _, shapes = forms(0.3)[name]
    inputs = values(shapes, torch.float32)
    right = passes(ours, inputs)
    torch.set_default_dtype(default)
    try:
        leaves = [tensor.clone().requires_grad_() for tensor in inputs]
        with torch.device("meta"):
            outputs = ours(*leaves)
            found = list(outputs) if isinstance(outputs, tuple) else [outputs]
            torch.autograd.backward([y.sum() for y in found])
    finally:
        torch.set_default_dtype(torch.float32)
    for one, other in zip(found, right, strict=False):
        assert torch.equal(one, other)
    assert all(leaf.grad is not None and leaf.grad.isfinite().all() for leaf in leaves)


def test_the_number_in_a_tensor_is_a_rate() -> None:
    call: Any
    for call in (fused.dropout_add, fused.dropout_add_layer_norm):
        y = [call(torch.ones(5, 4), torch.ones(5, 4), p=p, key=1) for p in (torch.tensor(0.5), 0.5)]
        assert torch.equal(*y)


def test_checkpointing_draws_the_same_mask() -> None:
    x = torch.randn(64, 32, requires_grad=True)
    y = checkpoint(lambda x: fused.dropout_add(x, torch.zeros_like(x), 0.5), x, use_reentrant=False)
    (grad,) = torch.autograd.grad(y, x, torch.ones_like(y))
    assert torch.equal(grad == 0, y == 0)


def test_seeding_draws_as_dropout_does() -> None:
    x = torch.ones(500, 3)
    torch.manual_seed(5)
    found = fused.dropout_add(x, torch.zeros_like(x), 0.5)
    torch.manual_seed(5)
    assert torch.equal(found, functional.dropout(x, 0.5))


def test_nan_and_infinity_do_not_survive_being_dropped() -> None:
    x = torch.tensor([torch.nan, torch.inf, -torch.inf]).repeat(50)
    assert torch.equal(fused.dropout_add(x, torch.zeros(150), 1.0), torch.zeros(150))
    assert torch.equal(fused.bias_act_dropout(x, None, 1.0, "gelu"), torch.zeros(150))
    assert fused.bias_act_dropout(x, None, 0.0, "gelu")[::3].isnan().all()


def test_nothing_but_what_a_norm_keeps_is_kept() -> None:
    held: list[int] = []

    def pack(saved: Tensor) -> Tensor:
        held.append(saved.untyped_storage().nbytes())
        return saved

    x, residual = (torch.randn(1000, 64, requires_grad=True) for _ in range(2))
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda saved: saved):
        fused.dropout_add(x, residual, 0.5)
        assert held == []
        fused.dropout_add_layer_norm(x, residual, p=0.5)
    assert sum(held) <= 64_000 * 4 + 4 * 1000 * 4


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (5,), (1,), (2, 3, 4)])
def test_odd_shapes(shape: tuple[int, ...]) -> None:
    x = torch.randn(shape)
    assert fused.bias_act_dropout(x, torch.zeros(shape[-1:]), 0.5).shape == shape
    assert fused.dropout_add(x, x, 0.5).shape == shape
    if x.numel():
        assert fused.dropout_add_layer_norm(x, x, p=0.5).shape == shape


X = torch.ones(2, 3)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: fused.bias_act_dropout(X, torch.ones(2)), "bias has one entry for each"),
        (lambda: fused.bias_act_dropout(X, None, activation="tanh"), "activation"),
        (lambda: fused.bias_act_dropout(X, None, p=1.5), "p must"),
        (lambda: fused.bias_act_dropout(X.int(), None), "floating type"),
        (lambda: fused.bias_act_dropout(torch.ones(()), torch.ones(1)), "bias has one entry for each"),
        (lambda: fused.dropout_add(X, torch.ones(3)), "residual has the shape of input"),
        (lambda: fused.dropout_add(X, X, p=-1), "p must"),
        (lambda: fused.dropout_add_layer_norm(X, X, torch.ones(2)), "weight has one entry for each"),
        (lambda: fused.dropout_add_layer_norm(X, X, bias=torch.ones(4)), "bias has one entry for each"),
        (lambda: fused.dropout_add_layer_norm(torch.ones(()), torch.ones(())), "axis of features"),
        (lambda: fused.dropout_add(X, X, key=0.5), "key"),  # type: ignore[arg-type]  # that is the point
    ],
)
def test_what_does_not_fit_is_refused(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(DropkitError, match=words):
        call()
