from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dropkit import Drop, DropkitError, Key
from dropkit.core.reference import mask
from dropkit.torch import Dropout, passes, two_passes, under_key
from dropkit.torch.two_passes import call

ONES = torch.ones(6, 8)


def run_of(values: list[tuple[Any, Any]]) -> Any:
    steps = iter(values)
    return lambda: tuple(map(torch.tensor, next(steps)))


def rows_between(p: Tensor, q: Tensor) -> Tensor:
    return (p - q).abs()


def test_under_a_key_each_pass_has_the_mask_of_the_folded_key_of_its_layer() -> None:
    model = nn.Sequential(Dropout(0.5))
    with under_key(model, 7):
        drawn = passes(model, lambda: model(ONES), 3)
        again = model(ONES)
    for i, each in enumerate(drawn):
        assert np.array_equal(each.numpy(), mask(Key(7).fold("0").fold("pass", i), (6, 8), Drop(0.5)))
    assert np.array_equal(again.numpy(), mask(Key(7).fold("0"), (6, 8), Drop(0.5)))


def test_without_a_key_the_passes_follow_the_generator() -> None:
    model = Dropout(0.5)
    torch.manual_seed(0)
    one, other = passes(model, lambda: model(ONES))
    torch.manual_seed(0)
    assert torch.equal(one, model(ONES))
    assert torch.equal(other, model(ONES))
    assert not torch.equal(one, other)


def test_the_keys_are_given_back_when_a_pass_fails() -> None:
    model = nn.Sequential(Dropout(0.5))
    with under_key(model, 7):
        with pytest.raises(ZeroDivisionError):
            passes(model, lambda: 1 / 0)
        assert model[0].stream_key == Key(7).fold("0")


def test_losses_are_averaged_and_the_mean_distance_is_weighed() -> None:
    run = run_of([(1.0, [0.0, 0.0]), (4.0, [1.0, 5.0])])
    assert two_passes(nn.Identity(), run, rows_between, 10.0) == 2.5 + 10 * 3


def test_only_rows_that_count_are_in_the_mean() -> None:
    def cost(mask: Tensor) -> float:
        run = run_of([(0.0, [0.0, 0.0, 0.0]), (0.0, [1.0, 2.0, float("nan")])])
        return float(two_passes(nn.Identity(), run, rows_between, 1.0, mask))

    assert cost(torch.tensor([True, True, False])) == 1.5
    assert cost(torch.tensor([False, False, False])) == 0.0


def test_what_does_not_fit_is_refused() -> None:
    for bad in (-1.0, float("inf"), "1", None):
        with pytest.raises(DropkitError, match=r"weight must be a number in \[0, inf\)"):
            two_passes(nn.Identity(), run_of([]), rows_between, bad)  # type: ignore[arg-type]  # a wrong kind is the point
    run = run_of([(0.0, [0.0]), (0.0, [1.0])])
    with pytest.raises(DropkitError, match=r"mask has the shape of the rows, \(1,\), got \(2,\)"):
        two_passes(nn.Identity(), run, rows_between, 1.0, torch.ones(2))
    with pytest.raises(DropkitError, match="count must be a whole number of at least 1"):
        passes(nn.Identity(), lambda: 1, 0)


def test_inputs_are_given_by_name_in_order_or_whole() -> None:
    def model(a: Any, b: Any = 0) -> Any:
        return (a, b)

    assert call(model, {"b": 1, "a": 2}) == (2, 1)
    assert call(model, (3, 4)) == (3, 4)
    assert call(model, "x") == ("x", 0)
