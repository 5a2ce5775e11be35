from typing import Any

import numpy as np
import pytest
import torch

import dropkit
from dropkit import DropkitError, Key
from dropkit.core.reference import draws, unit
from dropkit.methods.fractal_drop_path import LUCKY, shares, survivors
from dropkit.torch import FractalDropPath, global_column

WRONG: Any = {"per": "row"}
PATHS = list(torch.randn(3, 40, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))


def weights(key: int, rate: float, joins: int) -> np.ndarray:
    gone = draws(key, (3, joins)).below(rate)
    kept = survivors(gone, unit(Key(key).fold(LUCKY), (joins,)), np.arange(3)[:, None])
    return np.asarray(shares(kept))


@pytest.mark.parametrize(("per", "joins"), [("sample", 40), ("batch", 1)])
@pytest.mark.parametrize("rate", [0.0, 0.15, 0.7, 1.0])
def test_it_draws_as_numpy_does(per: Any, joins: int, rate: float) -> None:
    expected = (weights(3, rate, joins)[..., None] * torch.stack(PATHS).numpy()).sum(0)
    y = FractalDropPath(rate, per)(PATHS, key=3)
    assert y.numpy() == pytest.approx(expected, rel=1e-14, abs=1e-15)


def test_the_gradient_is_the_weight_of_the_path() -> None:
    paths = [path.clone().requires_grad_() for path in PATHS]
    grads = torch.autograd.grad(FractalDropPath(0.5, "sample")(paths, key=3).sum(), paths)
    drawn = torch.stack(grads).numpy()
    assert np.array_equal(drawn, np.broadcast_to(weights(3, 0.5, 40)[..., None], drawn.shape))


def test_at_rate_1_one_path_is_left_and_nothing_of_the_others() -> None:
    paths = [torch.full((64, 1), value) for value in (1.0, 2.0, 3.0)]
    assert FractalDropPath(1.0, "sample")(paths, key=1).unique().tolist() == [1.0, 2.0, 3.0]
    alone = [torch.full((64, 1), value) for value in (1.0, float("nan"))]
    y = FractalDropPath(1.0, "sample")(alone, key=1)
    assert bool((y.isnan() | (y == 1)).all())
    assert not y.isnan().all()


def test_evaluation_is_the_mean_of_all_and_mc_draws() -> None:
    join = FractalDropPath(0.5).eval()
    assert join(PATHS).numpy() == pytest.approx(torch.stack(PATHS).mean(0).numpy(), rel=1e-14)
    assert torch.equal(join(PATHS, column=1), join(PATHS))
    with dropkit.mode(join, "mc"):
        assert torch.equal(join(PATHS, key=2), FractalDropPath(0.5)(PATHS, key=2))


def test_global_drop_keeps_one_column_as_it_is() -> None:
    assert FractalDropPath(0.5)(PATHS, column=2) is PATHS[2]


def test_columns_are_drawn_under_a_key_in_their_share() -> None:
    drawn = [global_column(3, 0.5, key=Key(0).fold("step", i)) for i in range(200)]
    assert set(drawn) == {None, 0, 1, 2}
    assert drawn == [global_column(3, 0.5, key=Key(0).fold("step", i)) for i in range(200)]
    assert None not in {global_column(3, 1.0, key=Key(0).fold("step", i)) for i in range(200)}


def test_half_precision_is_averaged_in_float32() -> None:
    paths = [path.half() for path in PATHS]
    y = FractalDropPath(0.5).eval()(paths)
    assert y.dtype == torch.float16
    exact = torch.stack([path.double() for path in paths]).mean(0)
    assert bool(((y.double() - exact).abs() <= 2.0**-10 * exact.abs() + 2.0**-24).all())


def test_it_compiles_whole_and_takes_scalars() -> None:
    join = FractalDropPath(0.5, "sample")
    compiled: Any = torch.compile(join, backend="aot_eager", fullgraph=True)
    assert not torch.equal(compiled(PATHS), compiled(PATHS))
    assert join([torch.tensor(1.0)], key=1) == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: FractalDropPath(1.5), r"p must be a number in \[0, 1\], got 1.5"),
        (lambda: FractalDropPath(0.5, **WRONG), r"per must be one of 'sample', 'batch', got 'row'"),
        (lambda: FractalDropPath(0.5)(PATHS[0]), r"paths is a list of tensors, one at least"),
        (lambda: FractalDropPath(0.5)([]), r"paths is a list of tensors, one at least, got \[\]"),
        (lambda: FractalDropPath(0.5)([PATHS[0], PATHS[1][:2]]), r"paths have one shape.* got \(2, 5\)"),
        (lambda: FractalDropPath(0.5)(PATHS, column=3), r"column must be .* below 3, got 3"),
        (lambda: global_column(0), r"columns must be a whole number of at least 1, got 0"),
        (lambda: global_column(2, -1), r"share must be a number in \[0, 1\], got -1"),
    ],
)
def test_what_does_not_fit_is_refused(call: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        call()
