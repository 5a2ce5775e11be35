from typing import Any

import numpy as np
import pytest
import torch

from dropkit import Drop, DropkitError, Key
from dropkit.core import reference
from dropkit.core.choose import fallen
from dropkit.core.rate import threshold
from dropkit.core.reference import mask
from dropkit.torch.draws import below, below_but_one, fold, normal, picked, unit, words

X = torch.ones(3, 4, 5)


def test_the_draws_are_those_of_every_dropout() -> None:
    gone = below(X, 0.3, "b t d -> b d", key=5)
    assert gone.shape == (3, 1, 5)
    assert np.array_equal(
        gone.expand(X.shape).numpy(), mask(5, tuple(X.shape), Drop(0.3, "b t d -> b d")) == 0
    )


def test_a_rate_for_each_entry_is_compared_with_its_own_draw() -> None:
    rates = torch.linspace(0, 1, X.numel()).reshape(X.shape)
    gone, u = below(X, rates, key=5), words(X, key=5)
    assert torch.equal(gone, u < (rates.double() * 2**32).round())
    assert gone.flatten()[-1]
    assert not gone.flatten()[0]


def test_normal_draws_are_those_of_gaussian_dropout() -> None:
    drawn = 1 + normal(X, key=9).numpy()
    assert drawn == pytest.approx(mask(9, tuple(X.shape), Drop(0.5, noise="gaussian")), rel=1e-14)


def test_uniform_draws_never_reach_the_ends() -> None:
    drawn = unit(torch.ones(1000), key=1)
    assert drawn.min() > 0
    assert drawn.max() < 1


def test_without_a_key_each_call_takes_one_number_from_the_generator() -> None:
    torch.manual_seed(0)
    first, second = words(X), words(X)
    torch.manual_seed(0)
    assert torch.equal(first, words(X))
    assert not torch.equal(first, second)
    torch.manual_seed(0)
    own = torch.Generator().manual_seed(0)
    assert torch.equal(words(X, generator=own), first)


def test_a_key_is_folded_by_name_and_number() -> None:
    assert fold("a", {"key": 3}) == {"key": Key(3).fold("a")}
    assert fold("a", {"key": torch.tensor(3)}, 2) == {"key": Key(3).fold("a", 2)}
    assert fold("a", {}) == {}


@pytest.mark.parametrize("draw", [words, unit, normal])
def test_a_graph_has_the_draws_of_eager_mode(draw: Any) -> None:
    def run(x: torch.Tensor) -> Any:
        return draw(x, None, "b t d -> b d", key=8).expand(x.shape).to(torch.float32)

    compiled: Any = torch.compile(run, backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(X), run(X))


def test_a_key_is_folded_in_a_graph_too() -> None:
    def run(x: torch.Tensor) -> Any:
        first, second = (unit(x, **fold(name, {"key": 8})) for name in ("a", "b"))
        return first - second

    compiled: Any = torch.compile(run, backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(X), run(X))
    assert run(X).all()


@pytest.mark.parametrize(
    "keys",
    [range(12), [Key(i) for i in range(12)], [Key(5, i, 7) for i in range(12)], [2**63, Key(2**63 + 1), 3]],
    ids=["numbers", "keys", "folded keys", "of 64 bits"],
)
def test_one_graph_folds_every_key(keys: Any) -> None:
    def run(x: torch.Tensor, key: Any) -> Any:
        source = fold("a", {"key": key}, 2)
        return unit(x, **source) - unit(x, **fold("b", source))

    torch.compiler.reset()
    compiled: Any = torch.compile(run, backend="aot_eager", fullgraph=True)
    assert all(torch.equal(compiled(X, key), run(X, key)) for key in keys)


def test_a_graph_folds_a_key_that_it_makes_and_one_in_a_tensor() -> None:
    def make(x: torch.Tensor) -> Any:
        return unit(x, **fold("a", {"key": Key(8)}))

    def take(x: torch.Tensor, key: torch.Tensor) -> Any:
        return unit(x, **fold("a", {"key": key}))

    made: Any = torch.compile(make, backend="aot_eager", fullgraph=True)
    taken: Any = torch.compile(take, backend="aot_eager", fullgraph=True)
    assert torch.equal(made(X), make(X))
    for key in (torch.tensor(8), torch.tensor([8, 1, 2])):
        assert torch.equal(taken(X, key), take(X, key))


def test_what_is_no_key_is_not_folded() -> None:
    wrong: Any = {"key": "8"}

    def run(x: torch.Tensor) -> Any:
        return unit(x, **fold("a", wrong))

    compiled: Any = torch.compile(run, backend="aot_eager")
    for call in (run, compiled):
        with pytest.raises(DropkitError, match=r"must be an int or a dropkit\.Key"):
            call(X)


def test_a_graph_draws_afresh_at_each_call() -> None:
    compiled: Any = torch.compile(unit, backend="aot_eager", fullgraph=True)
    assert not torch.equal(compiled(X), compiled(X))


def test_vmap_draws_for_each_sample() -> None:
    drawn = torch.vmap(lambda x: words(x) + 0 * x.long(), randomness="different")(X)
    assert drawn.shape == X.shape
    assert len(drawn.unique()) == X.numel()
    same = torch.vmap(lambda x: words(x, key=4) + 0 * x.long())(X)
    assert torch.equal(same[0], words(X[0], key=4))


def test_two_sources_are_refused() -> None:
    with pytest.raises(DropkitError, match="generator is left out where key is given"):
        words(X, key=1, generator=torch.Generator())


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.9, 1.0])
@pytest.mark.parametrize("able", [None, "some"])
def test_the_largest_draw_of_a_row_stays_as_in_numpy(rate: float, able: str | None) -> None:
    x = torch.ones(40, 6)
    some = (torch.arange(240) % 7 < 4).reshape(40, 6) & (torch.arange(40) > 5)[:, None]
    marks = None if able is None else some
    u = reference.draws(3, (40, 6)).u
    expected = fallen(u, threshold(rate, np), np, None if marks is None else marks.numpy())
    assert np.array_equal(below_but_one(x, rate, marks, key=3).numpy(), expected)
    compiled: Any = torch.compile(below_but_one, backend="aot_eager", fullgraph=True)
    assert np.array_equal(compiled(x, rate, marks, key=3).numpy(), expected)


@pytest.mark.parametrize("noise", ["normal", "uniform"])
def test_marked_entries_alone_get_what_all_would_get(noise: Any) -> None:
    draw = {"normal": normal, "uniform": unit}[noise]
    for marks in (torch.arange(120).reshape(2, 3, 4, 5) % 11 == 3, torch.zeros(2, 3, 4, 5, dtype=torch.bool)):
        x = marks.float()
        assert torch.equal(picked(x, marks, noise, key=5), draw(x, key=5)[marks])
        torch.manual_seed(1)
        expected = draw(x)[marks]
        torch.manual_seed(1)
        assert torch.equal(picked(x, marks, noise), expected)
