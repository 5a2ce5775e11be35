"""The study on a terminal: what a dry run would do, then verdict and tables."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dropkit.report.plan import Plan
from dropkit.report.plan_text import plan_lines
from dropkit.report.record import ArmSummary, Comparison, StudyResult
from dropkit.report.watcher import Quiet, Terminal, Watcher
from dropkit.report.words import Words, p_cell

__all__ = ["Quiet", "Terminal", "Watcher", "make_table", "plan_lines", "print_plan", "print_result"]


def print_plan(plan: Plan, total: int, console: Console, lang: str = "en") -> None:
    """Print what a dry run leaves: the plan, and how many networks it would train."""
    for line in plan_lines(plan, lang):
        console.print(Text(line))
    say = Words(plan, lang).say
    console.print(Text(say("terminal.dry", runs=say("count.runs", n=total))))


def print_result(result: StudyResult, console: Console, lang: str = "en") -> None:
    """Print the verdict, the tables and where the files are."""
    verdict, words = result.verdict, Words(result.plan, lang)
    console.print(Text(verdict.headline, style="bold"))
    for sentence in (*verdict.sentences, *verdict.caveats, *words.failures(result.runs)):
        console.print(Text(f"- {sentence}"))
    if result.arms:
        console.print(_arm_table(result, words))
    if result.comparisons:
        console.print(_comparison_table(result, words))
        console.print(_evidence_table(result, words))
    console.print(Text(words.cost(result)))
    # A path that is broken over two lines cannot be opened by a click.
    files = "  ".join([result.files["report.html"], result.files["study.json"]])
    console.print(Text(files), soft_wrap=True)


def _arm_table(result: StudyResult, words: Words) -> Table:
    say = words.say
    error = words.label("error") + (" %" if words.plan.unit == "%" else "")
    names = ("epochs", "seconds")
    columns = [say("column.setting"), error, words.label("nll"), *(say(f"column.{name}") for name in names)]
    title = say("terminal.means", pairs=say("count.pairs", n=result.complete_pairs))
    return make_table(title, columns, [_arm_cells(words, arm) for arm in result.arms])


def _arm_cells(words: Words, each: ArmSummary) -> list[str]:
    return [
        words.arm(each.arm.name),
        _with_spread(words, each, "error"),
        _with_spread(words, each, "nll"),
        f"{each.epochs:.1f}",
        f"{each.seconds:.2f}",
    ]


def _with_spread(words: Words, each: ArmSummary, metric: str) -> str:
    sd = getattr(each.select_sd, metric) if each.select_sd else None
    return words.with_spread(metric, getattr(each.select, metric), sd)


def _comparison_table(result: StudyResult, words: Words) -> Table:
    say = words.say
    names = ("against", "score", "change", "interval", "holm", "outcome")
    rows = [
        [
            words.arm(each.arm),
            words.label(each.metric),
            words.difference(each),
            words.interval(each),
            p_cell(each.p_adjusted),
            say.name("outcome", each.outcome),
        ]
        for each in result.comparisons
    ]
    columns = [say(f"column.{name}") for name in names]
    # An interval of tiny changes is long, and better broken over two lines than cut.
    table = make_table(say("terminal.changes"), columns, rows, wraps=(3,))
    table.caption = say("terminal.changes_note")
    return table


def _evidence_table(result: StudyResult, words: Words) -> Table:
    flipped = any(each.p_flips is not None for each in result.comparisons)
    names = ("against", "score", "d", "wins", *(["flips"] if flipped else []), "equivalence")
    columns = [words.say(f"column.{name}") for name in names]
    rows = [_evidence_cells(words, each, flipped=flipped) for each in result.comparisons]
    table = make_table(words.say("terminal.evidence"), columns, rows)
    table.caption = words.say("terminal.evidence_note")
    return table


def _evidence_cells(words: Words, each: Comparison, *, flipped: bool) -> list[str]:
    flips = [p_cell(each.p_flips)] if flipped else []
    score, size = words.label(each.metric), words.effect_size(each)
    return [words.arm(each.arm), score, size, words.wins(each), *flips, p_cell(each.p_equivalent)]


def make_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, wraps: Collection[int] = ()
) -> Table:
    """A table whose first column stands left and all others right.

    Args:
        title: above it.
        columns: their heads.
        rows: their cells.
        wraps: columns whose cells may break over several lines.
    """
    table = Table(title=title, title_justify="left", title_style="bold", caption_justify="left")
    for at, name in enumerate(columns):
        table.add_column(name, justify="left" if at == 0 else "right", no_wrap=at not in wraps)
    for row in rows:
        table.add_row(*map(Text, row))
    return table
