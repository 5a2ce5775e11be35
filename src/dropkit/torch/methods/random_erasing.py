"""Random Erasing for PyTorch."""

from __future__ import annotations

from typing import Literal

import torch

from dropkit.core.check import Interval, OneOf, check_span
from dropkit.core.schedule import Schedule
from dropkit.methods.random_erasing import ATTEMPTS, NUMBERS, WORDS, erased
from dropkit.torch.autograd import eager
from dropkit.torch.draws import fold, normal, picked, unit, words
from dropkit.torch.fill import Fill, ImageMask
from dropkit.torch.functional import Source
from dropkit.torch.rated import Rated
from dropkit.torch.run import laid

__all__ = ["RandomErasing"]

Tensor = torch.Tensor
_NOISE = OneOf(("normal", "uniform"))
_SHARE = Interval(0, 1, "give shares of the area, e.g. (0.02, 0.4)")
_RATIO = Interval(0, 1e6, "give quotients of height and width, e.g. (0.3, 3.3)", open_low=True)


class RandomErasing(Rated, ImageMask):
    """A rectangle of random size, shape and place is painted over, with probability p for each image.

    S_e = S U(area), r_e = U(ratio), H_e = sqrt(S_e r_e), W_e = sqrt(S_e / r_e), at a random place inside the
    image; a rectangle that does not fit is drawn anew, ten times at most. Evaluation returns its input. Zhong
    et al. 2020.

    Args:
        p: the probability that an image is erased, in [0, 1], or a schedule.
        area: (sl, sh), the share of the image that a rectangle takes, in [0, 1].
        ratio: (r1, r2), height over width, above 0.
        fill: what is painted: `"normal"` for standard normal noise, a number for each pixel, which suits
            normalised images; `"uniform"` for noise in (0, 1); the mean of the data, as one number or one for
            each channel; or 0.

    Shape:
        (batch, channels, height, width), in and out.

    Raises:
        DropkitError: an argument is out of range.

    >>> RandomErasing(1.0, area=(0.25, 0.25), ratio=(1.0, 1.0), fill=0)(torch.ones(1, 1, 4, 4)).sum()
    tensor(12.)
    """

    def __init__(
        self,
        p: float | Schedule = 0.5,
        area: tuple[float, float] = (0.02, 0.4),
        ratio: tuple[float, float] = (0.3, 1 / 0.3),
        fill: Fill | Literal["normal", "uniform"] = "normal",
    ) -> None:
        self.noise = _NOISE.check("fill", fill) if isinstance(fill, str) else ""
        ImageMask.__init__(self, 0.0 if isinstance(fill, str) else fill)
        self.take_rate(p)
        self.area, self.ratio = check_span("area", area, _SHARE), check_span("ratio", ratio, _RATIO)

    def gone(self, input: Tensor, source: Source) -> Tensor:
        """Return which places are erased: bool, (batch, height, width)."""
        batch, _, height, width = input.shape
        drawn = {name: unit(input, (batch, ATTEMPTS), **fold(name, source)) for name in NUMBERS}
        drawn |= {name: words(input, (batch,), **fold(name, source)) for name in WORDS}
        gone: Tensor = erased(drawn, (height, width), self.area, self.ratio, self.p, torch)
        return gone

    def paint(self, input: Tensor, gone: Tensor, source: Source) -> Tensor:
        """Return the images with noise or a number where they are gone."""
        if not self.noise:
            return super().paint(input, gone, source)
        marks = gone[:, None].expand(input.shape)
        if not (input.is_cpu and eager(input)):
            draw = normal if self.noise == "normal" else unit
            noise = draw(input, None, **fold("noise", source)).to(input.dtype)
        else:
            some = picked(input, marks, self.noise, **fold("noise", source)).to(input.dtype)
            noise = torch.zeros_like(input).masked_scatter_(marks, some)
        return torch.where(marks, laid(noise, input), input)

    def extra_repr(self) -> str:
        """Show the rate and the rectangles."""
        return f"p={self.p}, area={self.area}, ratio={self.ratio}, fill={self.noise or self.fill!r}"
