"""One false-alarm rate for all statistical tests of the project together, and the share that each run of a
test gets.

A test that must not fail by chance needs a bound that follows from how many others stand beside it. So the
number of runs is written down here before anything is drawn, and the bound is FALSE_ALARM divided by their
sum (Bonferroni). Nothing else in the project may compare a random figure with a tolerance.
"""

from __future__ import annotations

from collections.abc import Mapping

from dropkit.core.check import OneOf

__all__ = ["FALSE_ALARM", "RUNS", "share"]

FALSE_ALARM = 1e-6
"""The probability that a full run of the tests raises an alarm although everything is right."""

RUNS: Mapping[str, int] = {
    "contract.rate": 800,
    "contract.moments": 800,
    "contract.independence": 800,
    "contract.counts": 800,
    "contract.repeats": 800,
    "contract.schedule": 800,
    "contract.key": 800,
    "mathematics": 20,
    "migrate": 40,
    "torch": 60,
    "study": 40,
    "prove.rate": 60,
    "prove.independence": 60,
    "prove.alarms": 20_000,
}
"""How often each registered test is run at most when all tests run once and `make prove` runs once."""


def share(test: str) -> float:
    """Return the false-alarm rate of one run of a registered test: its p-value must not fall below it.

    Args:
        test: a name in `RUNS`.

    Raises:
        DropkitError: the test is not registered.

    >>> share("contract.rate") * sum(RUNS.values()) == FALSE_ALARM
    True
    """
    OneOf(tuple(RUNS)).check("test", test)
    return FALSE_ALARM / sum(RUNS.values())
