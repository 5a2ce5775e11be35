"""What a verdict is drawn from, in one place, and the few questions that its sentences ask of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dropkit.experiments.decision import as_good
from dropkit.report.plan import AS_BROUGHT, NONE, Plan
from dropkit.report.record import BETTER, OPEN, WORSE, ArmSummary, Comparison, Family, Fit, Sealed
from dropkit.report.words import Words

__all__ = ["Findings"]


@dataclass(frozen=True)
class Findings:
    """All that a study found, and the words to tell it in."""

    plan: Plan
    comparisons: tuple[Comparison, ...]
    arms: tuple[ArmSummary, ...]
    families: tuple[Family, ...]
    fit: Fit | None
    sealed: tuple[Sealed, ...]
    words: Words

    def of(self, metric: str) -> list[Comparison]:
        """Comparisons of what was tried in one score; the model as brought counts where it stands alone."""
        found = [each for each in self.comparisons if each.metric == metric]
        return [each for each in found if each.arm != AS_BROUGHT] or found

    def brought(self, metric: str) -> Comparison | None:
        """The model as brought against none."""
        return next((e for e in self.comparisons if e.arm == AS_BROUGHT and e.metric == metric), None)

    def summary(self, name: str) -> ArmSummary | None:
        """Means of one arm."""
        return next((each for each in self.arms if each.arm.name == name), None)

    def open(self, metric: str) -> list[Comparison]:
        """Comparisons of which nothing was shown though there was a spread to tell from."""
        return [each for each in self.of(metric) if each.outcome == OPEN and each.sd]

    def promising(self, metric: str) -> list[Comparison]:
        """Those of them that look better: to be sure of what looks worse would change nothing."""
        return [each for each in self.open(metric) if each.mean < 0]

    def best(self, metric: str) -> Comparison | None:
        """What lowers a score most, of all that was shown to."""
        return min(self._better(metric), key=lambda each: each.mean, default=None)

    def taken(self, metric: str) -> Comparison | None:
        """The simplest of what is better than none and as good as the best; as brought needs no change.

        What is worse than none in the first score is not taken for the second.
        """
        better = [each for each in self._better(metric) if not self._raises_the_first(each.arm)]
        best = min(better, key=lambda each: each.mean, default=None)
        if best is None or best.margin is None:
            return best
        differences = [each.differences for each in better]
        good = as_good(differences, better.index(best), best.margin, self.plan.parts.overlap, best.alpha)
        return min((better[row] for row in good), key=lambda each: self._complexity(each.arm))

    def recommended(self) -> str:
        """The arm to take: by the first score, else by the second, else none."""
        first, second = self.plan.metrics
        taken = self.taken(first) or self.taken(second)
        return taken.arm if taken else NONE

    def named(self) -> str:
        """The arm that is spoken of: what is recommended, or what came nearest to it where that is none."""
        told, tried = self.recommended(), self.of(self.plan.metrics[0])
        return told if told != NONE else min(tried, key=lambda each: each.mean).arm if tried else NONE

    def underfits(self) -> bool:
        """Whether none fits its own training rows little better than new ones."""
        return self.fit is not None and self.fit.answer == "underfits"

    def more_data(self) -> float | None:
        """By how much twice the rows would lower the first score, where that can be said."""
        gain = self.fit.more_data if self.fit else None
        return gain if gain is not None and gain > 0 else None

    def _raises_the_first(self, arm: str) -> bool:
        first = self.plan.metrics[0]
        return any((each.arm, each.metric, each.outcome) == (arm, first, WORSE) for each in self.comparisons)

    def _better(self, metric: str) -> list[Comparison]:
        return [each for each in self.comparisons if each.metric == metric and each.outcome == BETTER]

    def _complexity(self, arm: str) -> int:
        order: Sequence[str] = [each.name for each in self.plan.arms] or self.plan.search.families
        return order.index(arm) if arm in order else -1 if arm == AS_BROUGHT else len(order)
