"""Who is told how a study goes: a bar with the time left and the leading arms, or nobody."""

from __future__ import annotations

import time
from statistics import fmean
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from dropkit.report.plan import Plan
from dropkit.report.plan_text import plan_lines
from dropkit.report.record import Run, StudyResult
from dropkit.report.words import NOTHING, Words

__all__ = ["Quiet", "Terminal", "Watcher"]

_LEADERS = 3
_SILENCE = 30.0
"""Seconds between lines where there is no terminal that could show a bar."""


class Watcher(Protocol):
    """Who is told how a study goes: the plan first, inside `with` each finished run, then the result."""

    def planned(self, plan: Plan, total: int, done: int, place: str, damaged: int = 0) -> None:
        """The plan is fixed: `total` runs at most.

        Args:
            plan: what was decided.
            total: how many runs it takes at most.
            done: how many of them are already in `place`; each is told as `finished` when it is used.
            place: the folder.
            damaged: how many records there failed their checksum.
        """

    def finished(self, run: Run) -> None:
        """One more run is on the disk."""

    def concluded(self, result: StudyResult) -> None:
        """All is known, also where it was interrupted."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None: ...


class Quiet:
    """A watcher that says nothing."""

    def planned(self, plan: Plan, total: int, done: int, place: str, damaged: int = 0) -> None:
        """Say nothing."""

    def finished(self, run: Run) -> None:
        """Say nothing."""

    def concluded(self, result: StudyResult) -> None:
        """Say nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None


class _Leading(ProgressColumn):
    """Of all columns the one that is cut where the terminal is narrow."""

    def render(self, task: Task) -> Text:
        """The arms that lead, in one line."""
        return Text(task.fields["leading"], no_wrap=True, overflow="ellipsis")


class Terminal:
    """A watcher that writes to standard error, so that standard output stays clean for results.

    Args:
        console: where to write.
        lang: `en` or `zh`.
    """

    def __init__(self, console: Console | None = None, lang: str = "en") -> None:
        self.console = console or Console(stderr=True, highlight=False)
        self.lang = lang
        columns = (
            TextColumn("{task.description}", markup=False),
            *(BarColumn(20), MofNCompleteColumn(), TimeRemainingColumn()),
            _Leading(Column()),
        )
        self.progress = Progress(*columns, console=self.console)
        self.bar = self.progress.add_task("", leading="")
        self.words: Words | None = None
        self.scores: dict[str, list[float]] = {}
        self._compares, self._told = False, time.monotonic()

    def planned(self, plan: Plan, total: int, done: int, place: str, damaged: int = 0) -> None:
        """Print the plan."""
        self.words = Words(plan, self.lang)
        say = self.words.say
        for line in plan_lines(plan, self.lang):
            self.console.print(Text(line))
        if done:
            self.console.print(
                Text(say("terminal.found", runs=say("count.finished", n=done), all=total, place=place))
            )
        if damaged:
            records = say("count.records", n=damaged)
            self.console.print(Text(say("terminal.damaged", records=records, place=place)))
        self.progress.update(self.bar, total=total, description=say("terminal.bar"))

    def finished(self, run: Run) -> None:
        """Move the bar, or print a line now and then, and say who leads; a failed run is named."""
        if self.words is None:
            raise RuntimeError("a watcher is told the plan before the first run")
        words = self.words
        if run.failure:
            failed = words.say(
                "terminal.failed",
                arm=words.arm(run.arm),
                pair=run.pair + 1,
                failure=words.say.note(run.failure),
            )
            self.console.print(Text(failed))
        leading = self._leading(run, words)
        self.progress.update(self.bar, advance=1, leading=leading)
        if not self.console.is_terminal and time.monotonic() - self._told >= _SILENCE:
            self._tell_line(words, leading)

    def concluded(self, result: StudyResult) -> None:
        """Say nothing: the result goes to standard output."""

    def _tell_line(self, words: Words, leading: str) -> None:
        task, self._told = self.progress.tasks[0], time.monotonic()
        left = NOTHING if task.time_remaining is None else words.time(task.time_remaining)
        counts = {"done": f"{task.completed:.0f}", "all": f"{task.total or 0:.0f}"}
        self.console.print(Text(words.say("terminal.line", **counts, time=left, leading=leading)))

    def _leading(self, run: Run, words: Words) -> str:
        metric = words.plan.metrics[0]
        if not (self._compares or words.plan.screens(run.pair)):
            # The luckiest setting of the search leads no comparison on fresh pairs.
            self._compares, self.scores = True, {}
        if run.select is not None and not run.paused:
            self.scores.setdefault(run.arm, []).append(getattr(run.select, metric))
        means = {arm: fmean(scores) for arm, scores in self.scores.items()}
        leaders = [
            f"{words.arm(arm)} {words.quantity(metric, means[arm])}"
            for arm in sorted(means, key=means.__getitem__)[:_LEADERS]
        ]
        arms = words.say("list.comma").join(leaders)
        return words.say("terminal.leading", arms=arms) if leaders else ""

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if kind is None:  # of the runs that were planned at most, those that were not needed
            self.progress.update(self.bar, total=self.progress.tasks[0].completed)
        self.progress.stop()
