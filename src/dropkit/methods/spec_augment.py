"""SpecAugment: bands of frequencies and stretches of time of a spectrogram are masked."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropkit.core.boxes import pick, span
from dropkit.core.key import Key
from dropkit.core.method import Array, Example, Method, Paper
from dropkit.core.reference import draws

__all__ = ["METHOD", "covered", "share_of"]

_SHAPE = (2, 40, 24)
_MILLION = 10**6


def share_of(lengths: Any, share: float) -> Any:
    """Return a share of whole numbers, rounded down; the share counts to a millionth.

    >>> share_of(np.array([30, 100]), 0.29).tolist()
    [8, 29]
    """
    return lengths * round(share * _MILLION) // _MILLION


def covered(lengths: Any, starts: Any, widest: Any, valid: Any, size: int, xp: Any, count: Any = None) -> Any:
    """Return which places along one axis are masked: bool, (batch, size).

    A mask has f places, f ~ U{0 ... widest}, and begins at f0 ~ U{0 ... valid - f}, so that it lies inside
    (Park et al. 2019, who write f0 in [0, valid - f)).

    Args:
        lengths: a draw below 2**32 for the width of each mask, (batch, masks).
        starts: the same for its place.
        widest: the largest width, at most `valid`: one number, or (batch, 1).
        valid: how many places count, at most `size`: one number, or (batch, 1).
        size: the length of the axis.
        xp: numpy or torch.
        count: how many of the masks each sample has, (batch, 1); None for all of them.
    """
    width = pick(lengths, widest + 1)
    masks = span(pick(starts, valid - width + 1), width, size, xp)
    if count is not None:
        masks = masks & (xp.arange(masks.shape[1], device=masks.device) < count)[..., None]
    return masks.any(1)


def _sketch(key: Key) -> Array:
    batch, *sizes = _SHAPE
    masks = []
    for axis, size, widest in (("time", sizes[0], 10), ("frequency", sizes[1], 8)):
        lengths, starts = (draws(key.fold(f"{axis} {part}"), (batch, 2)).u for part in ("length", "start"))
        masks.append(covered(lengths, starts, widest, size, size, np))
    return np.asarray(1.0 - (masks[0][:, :, None] | masks[1][:, None, :]))


METHOD = Method(
    name="spec_augment",
    title="SpecAugment",
    summary="Masks bands of neighbouring frequencies and stretches of neighbouring frames of a spectrogram.",
    formula="mF times: f ~ U{0 ... F}, f0 ~ U{0 ... nu - f}, frequencies [f0, f0 + f) masked; mT times: "
    "t ~ U{0 ... min(T, p tau)}, t0 ~ U{0 ... tau - t}, frames [t0, t0 + t) masked; with zero or the mean; "
    "nothing is scaled; evaluation: x. The time warp, which masks nothing, is left out",
    paper=Paper(
        title="SpecAugment: A Simple Data Augmentation Method for Automatic Speech Recognition",
        authors=(
            "Park, Daniel S.",
            "Chan, William",
            "Zhang, Yu",
            "Chiu, Chung-Cheng",
            "Zoph, Barret",
            "Cubuk, Ekin D.",
            "Le, Quoc V.",
        ),
        year=2019,
        venue="Interspeech",
        url="https://arxiv.org/abs/1904.08779",
        bibtex="""@inproceedings{park2019specaugment,
  title     = {SpecAugment: A Simple Data Augmentation Method for Automatic Speech Recognition},
  author    = {Park, Daniel S. and Chan, William and Zhang, Yu and Chiu, Chung-Cheng and Zoph, Barret and
               Cubuk, Ekin D. and Le, Quoc V.},
  booktitle = {Proceedings of Interspeech},
  pages     = {2613--2617},
  year      = {2019}
}""",
        checked="the abstract; citing texts and the first authors' library (tensorflow/lingvo, "
        "spectrum_augmenter.py) for the masks, from which three choices differ here: widths go up to F and T "
        "themselves, where lingvo takes int(u T) below T; t is drawn up to min(T, p tau), where lingvo draws "
        "up to T and cuts; the number of masks p_M tau is rounded down, where lingvo rounds up. Several "
        "public codes repeat the table of policies",
    ),
    site="input",
    fields=("speech",),
    good_for="Speech recognition from log mel features with a network that is large enough and trained for "
    "long: it turns overfitting into underfitting. The table of policies has F = 27 and T = 100 for "
    "LibriSpeech, p = 0.2 and T = 70 for Switchboard.",
    bad_for="Small networks and short trainings; very short utterances without a share p; features that are "
    "not normalised, unless `fill` is their mean.",
    sketch=_sketch,
    evidence="The abstract reports 6.8 % word errors on LibriSpeech test-other without a language model, "
    "where the best hybrid system had 7.5 %; its policy includes the time warp, which is left out here. Park "
    "et al. (arXiv:1912.05533) adapt the masks to the length of the utterance and report 5.2 %, with gains "
    "on a large multi-domain set as well.",
    example=Example(
        shape=_SHAPE,
        axes="b t f",
        usage={
            "torch": "layer = SpecAugment(freq_width=8, time_width=10, time_share=0.25)\n"
            "x = torch.randn(2, 40, 24)  # b t f\n"
            "y = layer(x, lengths=torch.tensor([40, 31]))"
        },
    ),
    aliases=("specaugment", "time_and_frequency_masking", "adaptive_spec_augment"),
    old_names={
        "time_mask_param": "T, the largest width of a time mask, in torchaudio",
        "freq_mask_param": "F, the largest width of a mask of frequencies, in torchaudio",
        "mask_feature_prob": "in transformers the same for features as mask_time_prob for frames",
        "mask_time_prob": "in transformers the share of frames that will be masked if no masks overlap: it "
        "takes mask_time_prob * length / mask_time_length masks; not the p of the paper",
    },
    layers={"torch": "SpecAugment"},
    waived={
        "rate": "Park et al. 2019, f0 in [0, nu - f): a mask lies inside, so the ends of an axis lose less",
        "mean": "Park et al. 2019, on masking: what is kept is not scaled",
        "independence": "Park et al. 2019, on masking: frames fall with their neighbours",
    },
)
