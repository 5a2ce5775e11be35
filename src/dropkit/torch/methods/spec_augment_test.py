import copy
import math
import pickle
from typing import Any

import numpy as np
import pytest
import torch

import dropkit
from dropkit.core.check import RATE, DropkitError
from dropkit.core.key import Key
from dropkit.core.reference import draws
from dropkit.methods.spec_augment import covered
from dropkit.torch import SpecAugment

KEY = Key(12)
SHAPE = (8, 30, 16)
X = torch.rand(SHAPE, generator=torch.Generator().manual_seed(0)) + 1
LENGTHS = torch.tensor([30, 20, 10, 5, 1, 0, 29, 15])


def drawn(axis: str, masks: int = 2) -> tuple[np.ndarray, np.ndarray]:
    length, start = (draws(KEY.fold(f"{axis} {part}"), (8, masks)).u for part in ("length", "start"))
    return length, start


def bands(widest: int) -> torch.Tensor:
    return torch.from_numpy(covered(*drawn("frequency"), widest, 16, 16, np))[:, None, :]


def stretches(widest: Any, valid: Any = 30, count: Any = None) -> torch.Tensor:
    return torch.from_numpy(covered(*drawn("time"), widest, valid, 30, np, count))[:, :, None]


def valid() -> np.ndarray:
    return LENGTHS.numpy()[:, None]


def test_bands_and_stretches_are_those_of_the_law() -> None:
    y = SpecAugment(2, 5, 2, 8)(X, key=KEY)
    assert torch.equal(y, torch.where(bands(5) | stretches(8), 0.0, X))


def test_a_band_is_never_wider_than_the_axis() -> None:
    assert torch.equal(SpecAugment(time_masks=0)(X, key=KEY), torch.where(bands(16), 0.0, X))


def test_a_stretch_is_never_longer_than_its_share_of_the_utterance() -> None:
    y = SpecAugment(0, time_width=8, time_share=0.2)(X, LENGTHS, key=KEY)
    widest = np.array([[6], [4], [2], [1], [0], [0], [5], [3]])
    assert torch.equal(y, torch.where(stretches(widest, valid()), 0.0, X))


def test_an_adaptive_size_is_the_share_alone() -> None:
    y = SpecAugment(0, time_width=None, time_share=0.5)(X, LENGTHS, key=KEY)
    assert torch.equal(y, torch.where(stretches(valid() // 2, valid()), 0.0, X))


def test_an_adaptive_number_of_masks_grows_with_the_length_up_to_the_limit() -> None:
    y = SpecAugment(0, time_width=8, masks_per_frame=0.1)(X, LENGTHS, key=KEY)
    count = np.array([[3], [2], [1], [0], [0], [0], [2], [1]])
    assert torch.equal(y, torch.where(stretches(np.minimum(8, valid()), valid(), count), 0.0, X))


def test_padding_is_not_masked_in_time() -> None:
    y = SpecAugment(0, time_masks=9, time_width=None)(X, LENGTHS)
    for i, length in enumerate(LENGTHS.tolist()):
        assert torch.equal(y[i, length:], X[i, length:])


def test_frequencies_may_stand_first_and_channels_share_their_masks() -> None:
    plain, layer = SpecAugment(2, 5, 2, 8), SpecAugment(2, 5, 2, 8, freq_first=True)
    expected = plain(X, LENGTHS, key=KEY)
    assert torch.equal(layer(X.mT, LENGTHS, key=KEY).mT, expected)
    channels = X[:, None].expand(8, 3, 30, 16)
    assert torch.equal(plain(channels, LENGTHS, key=KEY), expected[:, None].expand(8, 3, 30, 16))


@pytest.mark.parametrize("freq_first", [False, True])
def test_the_fill_may_be_the_mean_of_the_frames_that_count(freq_first: bool) -> None:
    gone = bands(5) | stretches(8)
    layer = SpecAugment(2, 5, 2, 8, fill="mean", freq_first=freq_first)
    y = layer(X.mT if freq_first else X, key=KEY)
    expected = torch.where(gone, X.mean((1, 2), keepdim=True), X)
    torch.testing.assert_close(y.mT if freq_first else y, expected)
    padded = torch.where(torch.arange(30)[:, None] < LENGTHS[:, None, None], X, math.nan)
    y = SpecAugment(2, 16, 0, fill="mean", freq_first=freq_first)(
        padded.mT if freq_first else padded, LENGTHS, key=KEY
    )
    means = torch.stack(
        [row[:n].mean() if n else torch.tensor(0.0) for row, n in zip(X, LENGTHS, strict=True)]
    )
    filled = (y.mT if freq_first else y)[bands(16).expand(SHAPE)]
    torch.testing.assert_close(filled, means[:, None, None].expand(SHAPE)[bands(16).expand(SHAPE)])


def test_a_number_may_be_the_fill() -> None:
    assert torch.equal(
        SpecAugment(2, 5, 2, 8, fill=-4)(X, key=KEY), torch.where(bands(5) | stretches(8), -4.0, X)
    )


def test_the_gradient_passes_where_nothing_is_masked() -> None:
    x = X.clone().requires_grad_()
    (through,) = torch.autograd.grad(SpecAugment(2, 5, 2, 8, fill="mean")(x, key=KEY).sum(), x)
    assert torch.equal(through, (~(bands(5) | stretches(8))).float())


def test_what_is_masked_does_not_show_whatever_it_was() -> None:
    layer = SpecAugment(2, 5, 2, 8)
    x = torch.where(bands(5) | stretches(8), math.nan, X)
    assert torch.equal(layer(x, key=KEY), layer(X, key=KEY))


def test_evaluation_returns_the_spectrograms_themselves_and_mc_masks() -> None:
    layer = SpecAugment().eval()
    assert layer(X, LENGTHS) is X
    with dropkit.mode(layer, "mc"):
        assert torch.equal(layer(X, key=KEY), SpecAugment()(X, key=KEY))
        torch.manual_seed(0)
        y = layer(X)
        torch.manual_seed(0)
        assert torch.equal(layer(X), y)


@pytest.mark.parametrize(
    "layer",
    [SpecAugment(0, time_masks=0), SpecAugment(2, 0, 2, 0), SpecAugment(0, time_share=0.0)],
    ids=str,
)
def test_without_a_mask_to_draw_the_input_itself_comes_back(layer: SpecAugment) -> None:
    assert layer(X) is X
    assert not layer.can_draw


def test_types_stay_and_graphs_mask_too() -> None:
    layer = SpecAugment(2, 5, 2, 8)
    assert torch.equal(layer(X.bfloat16(), key=KEY), layer(X, key=KEY).bfloat16())
    compiled: Any = torch.compile(layer, backend="aot_eager", fullgraph=True)
    assert not torch.equal(compiled(X, LENGTHS), compiled(X, LENGTHS))


def test_copies_mask_alike_and_the_input_stays() -> None:
    layer, before = SpecAugment(1, 5, 3, None, 0.3, masks_per_frame=0.2, fill="mean"), X.clone()
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(twin(X, LENGTHS, key=KEY), layer(X, LENGTHS, key=KEY))
        assert repr(twin) == repr(layer)
    assert torch.equal(X, before)


@pytest.mark.parametrize("share", [*RATE.bad()], ids=str)
def test_a_wrong_share_is_refused(share: Any) -> None:
    with pytest.raises(DropkitError, match="time_share must be a number in"):
        SpecAugment(time_share=share)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: SpecAugment(-1), "freq_masks must be a whole number of at least 0"),
        (lambda: SpecAugment(2, 2.5), "freq_width must be a whole number"),  # type: ignore[arg-type]  # the point
        (lambda: SpecAugment(time_masks=True), "time_masks must be a whole number"),
        (lambda: SpecAugment(time_width=-3), "time_width must be a whole number"),
        (lambda: SpecAugment(masks_per_frame=2.0), "masks_per_frame must be a number in"),
        (lambda: SpecAugment(fill="men"), "fill must be one of 'mean'"),  # type: ignore[arg-type]  # the point
        (lambda: SpecAugment(fill=math.nan), "fill must be a number in"),
        (lambda: SpecAugment(freq_first=1), "freq_first must be a bool"),  # type: ignore[arg-type]  # the point
        (lambda: SpecAugment()(X[0]), "input has at least 3 axes"),
        (lambda: SpecAugment()(X, LENGTHS[:3]), "lengths has one number for each of the 8 samples"),
        (lambda: SpecAugment()(X, LENGTHS.float()), "lengths are whole numbers, got torch.float32"),
        (lambda: SpecAugment()(X, 3), "lengths must be a Tensor"),
    ],
)
def test_bad_input_is_refused_by_name(build: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        build()


@pytest.mark.parametrize("shape", [(0, 4, 5), (2, 0, 5), (2, 4, 0)], ids=str)
def test_empty_spectrograms_pass(shape: tuple[int, ...]) -> None:
    assert SpecAugment()(torch.ones(shape)).shape == shape
