"""The arms of the first form: families of equal size around `none`."""

from __future__ import annotations

from collections.abc import Collection

from dropkit.report.record import Arm

__all__ = ["NONE", "default_arms"]

NONE = Arm("none", "none")

_RATES = (0.1, 0.25, 0.5)
_EVERYWHERE = ("dropout", "gaussian_dropout")
_SHAPED = {
    "spatial_dropout": ("spatial", "spatial dropout", (0.05, 0.1, 0.25)),
    "drop_block": ("block", "block dropout", (0.05, 0.1, 0.25)),
    "drop_path": ("path", "path dropout", (0.05, 0.1, 0.25)),
}


def default_arms(methods: Collection[str] = _EVERYWHERE, *, own_dropout: bool = False) -> tuple[Arm, ...]:
    """`none`, then three settings each of weight decay, dropout, input dropout and Gaussian dropout.

    Args:
        methods: what fits into the model; beside dropout and Gaussian dropout these are `spatial_dropout` and
            `drop_block` where an activation gives channels with height and width, and `drop_path` where
            branches are added. Each has three settings.
        own_dropout: the model brings dropout of its own, so that `as brought` is one more arm.

    >>> [arm.name for arm in default_arms()][:4]
    ['none', 'weight decay 0.01', 'weight decay 0.1', 'weight decay 1']
    """
    decay = [Arm(f"weight decay {w:g}", "weight decay", weight_decay=w) for w in (0.01, 0.1, 1.0)]
    hidden = [Arm(f"dropout {r:g}", "dropout", rate=r) for r in _RATES]
    entry = [Arm(f"input {r:g}", "input dropout", input_rate=r) for r in (0.1, 0.2)]
    both = [Arm("input 0.1 + hidden 0.5", "input dropout", rate=0.5, input_rate=0.1)]
    gaussian = [Arm(f"Gaussian {r:g}", "Gaussian dropout", rate=r, method="gaussian_dropout") for r in _RATES]
    shaped = [
        Arm(f"{short} {r:g}", family, rate=r, method=method)
        for method, (short, family, rates) in _SHAPED.items()
        for r in rates
    ]
    own = [Arm("as brought", "own dropout", keeps_own=True)] if own_dropout else []
    inside = (*hidden, *entry, *both, *gaussian, *shaped)
    return (NONE, *decay, *(arm for arm in inside if not arm.rate or arm.method in methods), *own)
