import json
import random
from typing import Any

import numpy as np
import torch

from dropkit.experiments.randomness import (
    one_thread,
    pair_seeds,
    random_state,
    seed_all,
    seeded,
    set_random_state,
)


def draws() -> tuple[float, float, float, float]:
    return float(torch.rand(1)), float(np.random.standard_normal()), random.random(), random.gauss()


def test_what_was_drawn_from_a_state_is_drawn_from_it_again() -> None:
    draws()  # a normal draw may leave its twin behind in the state
    state = random_state()
    first = draws()
    set_random_state(state)
    assert draws() == first


def test_the_plain_parts_of_a_state_survive_json() -> None:
    state = random_state()
    numbers: dict[str, Any] = json.loads(json.dumps(state["numpy"]))
    first = draws()
    set_random_state(state | {"numpy": numbers})
    assert draws() == first


def test_a_borrower_draws_from_its_seed_and_leaves_everything_as_it_was() -> None:
    seed_all(7)
    expected = draws()
    seed_all(7)
    found = []
    for _ in range(2):
        with seeded(3):
            found.append(draws())
    assert found[0] == found[1]
    assert draws() == expected


def test_one_thread_inside_and_as_many_as_before_outside() -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


def test_the_seeds_of_pairs_are_all_different() -> None:
    seeds = [number for pair in range(100) for number in pair_seeds(0, pair)]
    assert len(set(seeds)) == 400
