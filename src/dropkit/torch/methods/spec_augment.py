"""SpecAugment for PyTorch."""

from __future__ import annotations

from typing import Any, Literal, Unpack

import torch

from dropkit.core.check import RATE, DropkitError, Interval, OneOf, Whole, check_kind
from dropkit.methods.spec_augment import covered, share_of
from dropkit.torch.check import TensorError, check_tensor
from dropkit.torch.draws import fold, words
from dropkit.torch.functional import Source
from dropkit.torch.run import widen
from dropkit.torch.stochastic import Stochastic

__all__ = ["SpecAugment"]

Tensor = torch.Tensor
_COUNT = Whole(0, "give a number of masks, e.g. 2")
_WIDTH = Whole(0, "give the largest width of a mask, e.g. 27")
_FILL = Interval(-1e30, 1e30, "give a number, or 'mean'")
_MEAN = OneOf(("mean",))


class SpecAugment(Stochastic):
    """Masks bands of frequencies and stretches of time of spectrograms, for each sample anew.

    `freq_masks` times: f ~ U{0 ... freq_width} frequencies from f0 ~ U{0 ... nu - f}. `time_masks` times:
    t ~ U{0 ... min(time_width, time_share tau)} frames from t0 ~ U{0 ... tau - t}, where tau is the length of
    the utterance. Nothing is scaled, and evaluation returns its input. Park et al. 2019, without their time
    warp, which masks nothing; masks that adapt to the length are those of Park et al. 2020
    (arXiv:1912.05533). Shares of a length are rounded down. The authors' lingvo draws widths below F and T,
    cuts those beyond the share, and rounds the number of masks up.

    Args:
        freq_masks: how many bands, mF.
        freq_width: the widest band in channels, F.
        time_masks: how many stretches, mT.
        time_width: the longest stretch in frames, T; None for `time_share` of each utterance.
        time_share: a stretch is no longer than this share of its utterance, p, in [0, 1].
        masks_per_frame: an utterance has no more stretches than this times its length, in [0, 1]; None for
            `time_masks` whatever the length.
        fill: what is masked with: a number, 0 by default, or `"mean"` for the mean of each sample.
        freq_first: whether frequencies stand before time, as in torchaudio.

    Shape:
        (batch, ..., time, frequency), or (batch, ..., frequency, time) with `freq_first`; axes in between
        share their masks.

    Raises:
        DropkitError: an argument is out of range.

    >>> SpecAugment(time_masks=0, freq_masks=1, freq_width=1)(torch.ones(1, 2, 3), key=6)
    tensor([[[1., 1., 0.],
             [1., 1., 0.]]])
    """

    def __init__(
        self,
        freq_masks: int = 2,
        freq_width: int = 27,
        time_masks: int = 2,
        time_width: int | None = 100,
        time_share: float = 1.0,
        *,
        masks_per_frame: float | None = None,
        fill: float | Literal["mean"] = 0.0,
        freq_first: bool = False,
    ) -> None:
        super().__init__()
        self.freq_masks = _COUNT.check("freq_masks", freq_masks)
        self.freq_width = _WIDTH.check("freq_width", freq_width)
        self.time_masks = _COUNT.check("time_masks", time_masks)
        self.time_width = None if time_width is None else _WIDTH.check("time_width", time_width)
        self.time_share = RATE.check("time_share", time_share)
        per_frame = masks_per_frame
        self.masks_per_frame = None if per_frame is None else RATE.check("masks_per_frame", per_frame)
        text = isinstance(fill, str)
        self.fill: Any = _MEAN.check("fill", fill) if text else _FILL.check("fill", fill)
        self.freq_first = check_kind("freq_first", freq_first, bool, "write True or False")

    @property
    def can_draw(self) -> bool:
        """Whether anything can be masked."""
        return self._bands or self._stretches

    @property
    def _bands(self) -> bool:
        return self.freq_masks > 0 and self.freq_width > 0

    @property
    def _stretches(self) -> bool:
        return self.time_masks > 0 and self.time_width != 0 and self.time_share > 0

    def forward(self, input: Tensor, lengths: Tensor | None = None, **source: Unpack[Source]) -> Tensor:
        """Mask spectrograms in training, and return them themselves otherwise.

        Args:
            input: (batch, ..., time, frequency), of a real floating type.
            lengths: how many frames each sample has, (batch,), an integer tensor; masks lie inside. None
                where there is no padding.
            **source: `key` and `generator`; see `dropkit.torch.functional.Source`.

        Raises:
            DropkitError: the input has fewer than 3 axes, or `lengths` are none or another number of them.
        """
        _check_input(input)
        if lengths is not None:
            _check_lengths(lengths, input)
        if not (self.drawing and self.can_draw) or input.numel() == 0:
            return input
        frames = input.shape[-1 if self.freq_first else -2]
        gone = self._gone(input, _valid(lengths, frames, input), self.source(source))
        return torch.where(gone, self._filling(input, lengths, frames), input)

    def _gone(self, input: Tensor, valid: Tensor, source: Source) -> Tensor:
        """Return which entries are masked, in a shape that broadcasts to the input."""
        frames, frequencies = input.shape[-2:][::-1] if self.freq_first else input.shape[-2:]
        gone = torch.zeros((input.shape[0], 1, 1), dtype=torch.bool, device=input.device)
        if self._bands:
            gone = gone | self._banded(input, frequencies, source)[:, None, :]
        if self._stretches:
            gone = gone | self._stretched(input, frames, valid, source)[:, :, None]
        return _inserted(gone.mT if self.freq_first else gone, input)

    def _banded(self, input: Tensor, frequencies: int, source: Source) -> Tensor:
        lengths, starts = self._drawn("frequency", self.freq_masks, input, source)
        widest = min(self.freq_width, frequencies)
        bands: Tensor = covered(lengths, starts, widest, frequencies, frequencies, torch)
        return bands

    def _stretched(self, input: Tensor, frames: int, valid: Tensor, source: Source) -> Tensor:
        lengths, starts = self._drawn("time", self.time_masks, input, source)
        widest = self._widest(valid)
        stretches: Tensor = covered(lengths, starts, widest, valid, frames, torch, self._count(valid))
        return stretches

    def _drawn(self, axis: str, masks: int, input: Tensor, source: Source) -> tuple[Tensor, ...]:
        shape = (input.shape[0], masks)
        return tuple(words(input, shape, **fold(f"{axis} {part}", source)) for part in ("length", "start"))

    def _widest(self, valid: Tensor) -> Tensor:
        widest: Tensor = share_of(valid, self.time_share)
        return widest if self.time_width is None else widest.clip(max=self.time_width)

    def _count(self, valid: Tensor) -> Tensor | None:
        if self.masks_per_frame is None:
            return None
        count: Tensor = share_of(valid, self.masks_per_frame)
        return count

    def _filling(self, input: Tensor, lengths: Tensor | None, frames: int) -> Any:
        if self.fill != "mean":
            return self.fill
        wide, others = widen(input.detach()), tuple(range(1, input.dim()))
        if lengths is None:
            return wide.mean(others, keepdim=True).to(input.dtype)
        inside = torch.arange(frames, device=input.device) < _valid(lengths, frames, input)
        inside = inside[:, None, :] if self.freq_first else inside[:, :, None]
        inside = _inserted(inside, input).expand_as(input)
        total = torch.where(inside, wide, 0.0).sum(others, keepdim=True)
        return (total / inside.sum(others, keepdim=True).clip(min=1)).to(input.dtype)

    def extra_repr(self) -> str:
        """Show the masks."""
        names = "freq_masks", "freq_width", "time_masks", "time_width", "time_share", "masks_per_frame"
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in (*names, "fill", "freq_first"))


def _inserted(mask: Tensor, like: Tensor) -> Tensor:
    """Return a mask (batch, a, b) with axes of 1 where `like` has more."""
    return mask.reshape(mask.shape[0], *(1,) * (like.dim() - 3), *mask.shape[1:])


def _valid(lengths: Tensor | None, frames: int, like: Tensor) -> Tensor:
    """Return the number of frames of each sample, int64, (batch, 1)."""
    if lengths is None:
        return torch.full((like.shape[0], 1), frames, dtype=torch.int64, device=like.device)
    return lengths.to(like.device, torch.int64)[:, None].clip(0, frames)


def _check_input(input: Tensor) -> None:
    check_tensor(input)
    if input.dim() < 3:
        rule = "has at least 3 axes: batch, time and frequency"
        raise TensorError("input", rule, tuple(input.shape), "add an axis, e.g. by unsqueeze(0)")


def _check_lengths(lengths: Any, input: Tensor) -> None:
    check_kind("lengths", lengths, Tensor, "give an integer tensor, one length a sample")
    if lengths.dtype.is_floating_point or lengths.dtype == torch.bool:
        mend = "give numbers of frames, e.g. torch.tensor([90, 75])"
        raise DropkitError("lengths", "are whole numbers", lengths.dtype, mend)
    if lengths.shape != input.shape[:1]:
        rule = f"has one number for each of the {input.shape[0]} samples"
        raise TensorError("lengths", rule, tuple(lengths.shape), "give a shape of (batch,)")
