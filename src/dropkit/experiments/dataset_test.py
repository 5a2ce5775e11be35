import numpy as np
import pytest

from dropkit.experiments.arrays import array_dataset

LABELS = np.arange(80) % 4


def test_the_digest_follows_inputs_and_target() -> None:
    x = np.random.default_rng(0).normal(size=(80, 3))
    changed = x.copy()
    changed[7, 1] += 1e-9
    digests = {array_dataset(a, y).digest() for a in (x, changed) for y in (LABELS, LABELS[::-1])}
    assert len(digests) == 4


def test_the_digest_follows_the_layout_of_images() -> None:
    x = np.zeros((80, 8, 8, 16))
    assert array_dataset(x, LABELS).digest() != array_dataset(x.reshape(80, 16, 8, 8), LABELS).digest()


def test_images_keep_their_shape_and_numbers_become_columns() -> None:
    assert array_dataset(np.zeros((80, 3, 5, 6)), LABELS).inputs.shape == (3, 5, 6)
    assert array_dataset(np.zeros((80, 7)), LABELS).inputs.shape == (7,)


def test_the_error_of_a_guess_is_what_learning_has_to_beat() -> None:
    x, y = np.zeros((80, 2)), np.array(["a"] * 60 + ["b"] * 20)
    assert array_dataset(x, y).guess_error == 0.25
    assert array_dataset(x, np.linspace(0, 1, 80)).guess_error == pytest.approx(np.std(np.linspace(0, 1, 80)))
