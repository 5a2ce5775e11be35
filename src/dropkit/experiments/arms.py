"""The arms of the first form: families of equal size around `none`."""

from __future__ import annotations

from dropkit.report.record import Arm

__all__ = ["NONE", "default_arms"]

NONE = Arm("none", "none")

_RATES = (0.1, 0.25, 0.5)


def default_arms(*, own_dropout: bool = False) -> tuple[Arm, ...]:
    """`none`, then three settings each of weight decay, dropout, input dropout and Gaussian dropout.

    Args:
        own_dropout: the model brings dropout of its own, so that `as brought` is one more arm.

    >>> [arm.name for arm in default_arms()][:4]
    ['none', 'weight decay 0.01', 'weight decay 0.1', 'weight decay 1']
    """
    decay = [Arm(f"weight decay {w:g}", "weight decay", weight_decay=w) for w in (0.01, 0.1, 1.0)]
    hidden = [Arm(f"dropout {r:g}", "dropout", rate=r) for r in _RATES]
    entry = [Arm(f"input {r:g}", "input dropout", input_rate=r) for r in (0.1, 0.2)]
    both = [Arm("input 0.1 + hidden 0.5", "input dropout", rate=0.5, input_rate=0.1)]
    gaussian = [Arm(f"Gaussian {r:g}", "Gaussian dropout", rate=r, noise="gaussian") for r in _RATES]
    own = [Arm("as brought", "own dropout", keeps_own=True)] if own_dropout else []
    return (NONE, *decay, *hidden, *entry, *both, *gaussian, *own)
