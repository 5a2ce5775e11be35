"""The study on a terminal: the plan, a progress bar with the time left, then verdict and table."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from dropkit.report.record import ArmSummary, Comparison, Plan, Run, StudyResult
from dropkit.report.words import (
    NOTHING,
    counted,
    difference,
    effect_size,
    interval,
    label,
    margins,
    number,
    p_cell,
    places,
    wins,
    with_spread,
)

__all__ = ["Quiet", "Terminal", "Watcher", "plan_lines", "print_result"]

_WRAPS = "95 % interval"  # of tiny changes: long, and better broken over two lines than cut


class Watcher(Protocol):
    """Who is told how a study goes: the plan first, then inside `with` each finished run."""

    def planned(self, plan: Plan, done: int, place: str, damaged: int = 0) -> None:
        """The plan is fixed; `done` runs of it are already there, and as many records were `damaged`."""

    def finished(self, run: Run) -> None:
        """One more run is on the disk."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None: ...


class Quiet:
    """A watcher that says nothing."""

    def planned(self, plan: Plan, done: int, place: str, damaged: int = 0) -> None:
        """Say nothing."""

    def finished(self, run: Run) -> None:
        """Say nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None


class Terminal:
    """A watcher that writes to standard error, so that standard output stays clean for results."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self.progress = Progress(*columns, console=self.console)
        self.bar = self.progress.add_task("runs")

    def planned(self, plan: Plan, done: int, place: str, damaged: int = 0) -> None:
        """Print the plan."""
        for line in plan_lines(plan):
            self.console.print(Text(line))
        if done:
            self.console.print(Text(f"{counted(done, 'finished run')} found in {place} and used again."))
        if damaged:
            records = counted(damaged, "record")
            self.console.print(Text(f"{records} in {place} failed the checksum: trained again."))
        self.progress.update(self.bar, total=plan.n_runs, completed=done)

    def finished(self, run: Run) -> None:
        """Move the bar; a failed run is named."""
        if run.failure:
            self.console.print(Text(f"{run.arm}, pair {run.pair + 1}: {run.failure}"))
        self.progress.advance(self.bar)

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()


def plan_lines(plan: Plan) -> list[str]:
    """The plan in plain sentences."""
    rows = f"{plan.train_rows} rows to train, {plan.select_rows} to choose, {plan.test_rows} to judge"
    sharing = "pairs share rows" if plan.overlap else "no row in two pairs"
    return [
        f"Plan {plan.fingerprint}: {plan.data} ({plan.rows} rows, {plan.task}), model {plan.model}.",
        *(f"  {note}." for note in plan.notes),
        f"  Arms: {', '.join(arm.name for arm in plan.arms)}.",
        *(f"  {place}." for place in places(plan)),
        f"  {plan.pairs} pairs of (split, seed), the same for every arm: {rows}; {sharing}.",
        f"  {plan.n_runs} networks, {plan.epochs} epochs each, batches of {plan.batch}, AdamW "
        f"at {plan.learning_rate:g}.",
        f"  Settings are chosen by {label(plan, plan.metric)}; {len(plan.families)} families are compared "
        f"with none in {label(plan, 'error')} and NLL, Holm over {plan.comparisons} comparisons.",
        f"  Smallest detectable effect: {plan.detectable:.2f} standard deviations of a paired difference "
        f"({100 * plan.power:.0f} % power, level {plan.alpha:g}){_floor_words(plan)}.",
        f"  Margin of equivalence: {' or '.join(margins(plan)) or 'off'}.",
    ]


def _floor_words(plan: Plan) -> str:
    return f"; {plan.floor:.2f} with any number of pairs, as they share rows" if plan.overlap else ""


def print_result(result: StudyResult, console: Console) -> None:
    """Print the verdict, the table of arms, the table of comparisons and where the files are."""
    verdict = result.verdict
    console.print(Text(verdict.headline, style="bold"))
    for sentence in (*verdict.sentences, *verdict.caveats):
        console.print(Text(f"- {sentence}"))
    if result.arms:
        console.print(_arm_table(result))
    if result.comparisons:
        console.print(_comparison_table(result))
        console.print(_evidence_table(result))
    # A path that is broken over two lines cannot be opened by a click.
    files = f"{result.files['report.html']}  {result.files['study.json']}  {result.seconds:g} s"
    console.print(Text(files), soft_wrap=True)


def _arm_table(result: StudyResult) -> Table:
    plan = result.plan
    error = label(plan, "error") + (" %" if plan.unit == "%" else "")
    columns = ("setting", f"test {error}", "test NLL", "select", "chosen")
    title = f"Means over {counted(result.complete_pairs, 'pair')}, ± standard deviation between pairs"
    return _table(title, columns, [_arm_cells(plan, arm) for arm in result.arms])


def _arm_cells(plan: Plan, each: ArmSummary) -> tuple[str, ...]:
    return (
        each.arm.name,
        _with_spread(plan, each, "error"),
        _with_spread(plan, each, "nll"),
        number(plan, "error", each.select.error),
        str(each.chosen or ""),
    )


def _with_spread(plan: Plan, each: ArmSummary, metric: str) -> str:
    sd = getattr(each.test_sd, metric) if each.test_sd else None
    return with_spread(plan, metric, getattr(each.test, metric), sd)


def _comparison_table(result: StudyResult) -> Table:
    plan = result.plan
    columns = ("against none", "score", "change", _WRAPS, "Holm's p", "better?")
    rows = [
        (
            each.family,
            label(plan, each.metric),
            difference(plan, each),
            interval(plan, each),
            p_cell(each.p_adjusted),
            each.outcome,
        )
        for each in result.comparisons
    ]
    table = _table("Change on the test parts, each pair's setting chosen on its select part", columns, rows)
    table.caption = "Each interval is of its comparison alone; p and the last column are corrected for all."
    return table


def _evidence_table(result: StudyResult) -> Table:
    flipped = any(each.p_flips is not None for each in result.comparisons)
    columns = ("against none", "score", "d", "better in", *(["flips' p"] if flipped else []), "equivalence p")
    rows = [_evidence_cells(result.plan, each, flipped=flipped) for each in result.comparisons]
    table = _table("How large, how often, and is it small enough not to matter?", columns, rows)
    table.caption = "d: mean / sd of the paired differences. Equivalence: within the margin, Holm's p."
    return table


def _evidence_cells(plan: Plan, each: Comparison, *, flipped: bool) -> tuple[str, ...]:
    flips = [_p(each.p_flips)] if flipped else []
    score = label(plan, each.metric)
    return (each.family, score, effect_size(each), wins(each), *flips, _p(each.p_equivalent))


def _p(p: float | None) -> str:
    return NOTHING if p is None else p_cell(p)


def _table(title: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", caption_justify="left")
    for at, name in enumerate(columns):
        table.add_column(name, justify="left" if at == 0 else "right", no_wrap=name != _WRAPS)
    for row in rows:
        table.add_row(*map(Text, row))
    return table
