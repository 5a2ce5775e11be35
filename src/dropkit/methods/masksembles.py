"""Masksembles: a few fixed masks make one network an ensemble."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from dropkit.core.check import Interval, Whole
from dropkit.core.key import Key
from dropkit.core.method import Array, Example, Method, Paper
from dropkit.core.reference import unit

__all__ = ["METHOD", "active_channels", "covering_ways", "masksembles", "new_chances"]

_CHANNELS = Whole(1, "give the size of the second axis, e.g. 64")
_MASKS = Whole(1, "give the number of members of the ensemble, e.g. 4")
_SCALE = Interval(
    1, float("inf"), "write e.g. 2.0: 1 is one model, the more the less overlap", open_high=True
)


def masksembles(channels: int, n: int = 4, scale: float = 2.0, key: int | Key = 0) -> Array:
    """Return n fixed masks over the channels, true where a channel is kept: a bool array (n, channels).

    The paper draws n sets of m out of m scale positions and leaves out what no set holds, anew until as many
    as wanted are left (Durasov et al. 2021). Given that number, every family of n sets that leaves no channel
    out is equally likely. So are they here, without a search: how many new channels each set brings is drawn
    from its exact law, then which ones.

    Args:
        channels: how many channels there are, at least 1.
        n: how many masks, at least 1.
        scale: at least 1; two sets share 1 / scale of their channels on average before any is left out.
        key: the address of the draws: the same key gives the same ensemble.

    Raises:
        DropkitError: a number is out of its range.

    >>> masksembles(6, n=2, scale=2.0, key=1).astype(int)
    array([[0, 1, 1, 1, 1, 0],
           [1, 0, 1, 0, 1, 1]])
    """
    active, key = active_channels(channels, n, scale), Key.of(key)
    ways = covering_ways(channels, n, active)
    kept = np.zeros((n, channels), bool)
    for i in range(n):
        covered = np.asarray(kept[:i].any(0))
        chances = new_chances(channels, active, int((~covered).sum()), ways[i + 1])
        below = np.cumsum(chances)
        new = int((below / below[-1] < unit(key.fold("count", i), (1,))).sum())
        order = np.argsort(unit(key.fold("channels", i), (channels,)), kind="stable")
        kept[i, order[~covered[order]][:new]] = True
        kept[i, order[covered[order]][: active - new]] = True
    return kept


def active_channels(channels: int, n: int, scale: float) -> int:
    """Return m, how many channels each mask keeps: channels / (scale (1 - (1 - 1 / scale)**n)), rounded down.

    At least channels / n, so that no channel is left out.

    >>> active_channels(64, 4, 2.0), active_channels(64, 4, 1.0)
    (34, 64)
    """
    channels, n = _CHANNELS.check("channels", channels), _MASKS.check("n", n)
    scale = _SCALE.check("scale", scale)
    # What rounding alone made less than a whole number is one.
    size = int(channels / (scale * (1 - (1 - 1 / scale) ** n)) + 1e-9)
    return min(max(size, -(-channels // n)), channels)


def covering_ways(channels: int, n: int, active: int) -> Array:
    """Return logarithms of numbers: [i, u] is in how many ways masks i ... n - 1 can cover u given channels.

    ways[n, 0] = 1; ways[i, u] = sum_k C(u, k) C(channels - u, active - k) ways[i + 1, u - k]. What cannot
    come about before mask i stays at minus infinity.
    """
    ways = np.full((n + 1, channels + 1), -np.inf)
    ways[n, 0] = 0.0
    for i in reversed(range(n)):
        for uncovered in _reachable(channels, i, active):
            ways[i, uncovered] = np.logaddexp.reduce(_terms(channels, active, uncovered, ways[i + 1])[1])
    return ways


def new_chances(channels: int, active: int, uncovered: int, later: Any) -> Array:
    """Return the probability that the next mask brings k = 0 ... active channels that none had before.

    Args:
        channels: how many channels there are.
        active: how many the mask keeps.
        uncovered: how many no mask has kept so far.
        later: the row of `covering_ways` of the masks that come after.
    """
    new, logarithms = _terms(channels, active, uncovered, later)
    chances = np.zeros(active + 1)
    chances[new] = np.exp(logarithms - logarithms.max())
    return np.asarray(chances / chances.sum())


def _reachable(channels: int, masks: int, active: int) -> range:
    """Return how many channels can be uncovered after so many masks."""
    return range(max(0, channels - masks * active), channels - active * (masks > 0) + 1)


def _terms(channels: int, active: int, uncovered: int, later: Any) -> tuple[Array, Array]:
    """Return every k that is possible, and the logarithm of the number of ways that begin with it."""
    new = np.arange(max(0, active - (channels - uncovered)), min(active, uncovered) + 1)
    ways = _log_choose(channels, uncovered, new) + _log_choose(channels, channels - uncovered, active - new)
    return new, ways + later[uncovered - new]


def _log_choose(limit: int, n: int, k: Array) -> Array:
    """Return log C(n, k) for n <= limit."""
    factorial = _log_factorials(limit)
    return np.asarray(factorial[n] - factorial[k] - factorial[n - k])


@functools.lru_cache(maxsize=8)
def _log_factorials(limit: int) -> Array:
    return np.concatenate(([0.0], np.cumsum(np.log(np.arange(1, limit + 1)))))


_SHAPE = (4, 32)


def _sketch(key: Key) -> Array:
    return masksembles(_SHAPE[1], _SHAPE[0], 2.0, key).astype(np.float64)


METHOD = Method(
    name="masksembles",
    title="Masksembles",
    summary="Gives a network a few fixed masks over its channels instead of random ones: each mask is a "
    "member of an ensemble, and the overlap of the masks says how much the members share.",
    formula="n masks of m = channels / (scale (1 - (1 - 1 / scale)^n)) ones, drawn once, no channel left out "
    "by all; y[b] = x[b] mask[b n // batch], in training and in evaluation alike",
    paper=Paper(
        title="Masksembles for Uncertainty Estimation",
        authors=("Durasov, Nikita", "Bagautdinov, Timur", "Baque, Pierre", "Fua, Pascal"),
        year=2021,
        venue="CVPR",
        url="https://arxiv.org/abs/2012.08334",
        bibtex="""@inproceedings{durasov2021masksembles,
  title     = {Masksembles for Uncertainty Estimation},
  author    = {Durasov, Nikita and Bagautdinov, Timur and Baque, Pierre and Fua, Pascal},
  booktitle = {Proceedings of the IEEE/CVF Conference on Computer Vision and Pattern Recognition},
  pages     = {13539--13548},
  year      = {2021}
}""",
        checked="the conference's page for the reference; the authors' code (nikitadurasov/masksembles) for "
        "the law of the masks and for how a batch is shared out",
    ),
    site="activation",
    fields=("vision", "tabular"),
    good_for="Uncertainty from a handful of predictions, the same ones every time: n of them instead "
    "of the many that Monte Carlo dropout needs. Begin with 4 masks and scale 2.",
    bad_for="Models that are trained already; narrow layers at a high scale, whose members have few channels "
    "left; regularization alone, for which dropout is simpler; evaluation of a batch that is not repeated n "
    "times, where the answer for a row depends on its place in the batch.",
    sketch=_sketch,
    example=Example(
        shape=_SHAPE,
        axes="b c",
        usage={
            "torch": "layer = Masksembles(32, n=4, scale=2.0)\n"
            "model = torch.nn.Sequential(torch.nn.Linear(8, 32), layer, torch.nn.Linear(32, 1)).eval()\n"
            "x = torch.randn(10, 8)\n"
            "members = model(torch.cat([x] * 4)).unflatten(0, (4, 10))\n"
            "mean, variance = members.mean(0), members.var(0)"
        },
    ),
    evidence="Durasov et al. 2021 report, on CIFAR10 and ImageNet, performance on par with ensembles at a "
    "fraction of the cost.",
    aliases=("mask_ensembles", "fixed_mask_ensemble"),
    layers={"torch": "Masksembles"},
    waived={
        "mean": "the authors' code multiplies by the mask alone: kept channels are not scaled",
        "independence": "the masks are drawn so that together they leave no channel out",
        "rate": "the share of dropped channels, 1 - m / channels, follows from n and scale",
    },
)
