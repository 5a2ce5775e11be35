"""Two studies side by side: are they of the same data and model, what differs, and what each found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.text import Text

from dropkit.report.messages import messages
from dropkit.report.page import render
from dropkit.report.record import Comparison, StudyResult
from dropkit.report.terminal import make_table
from dropkit.report.words import NOTHING, Words

__all__ = ["Difference", "Row", "compare_pages", "differences", "print_compared", "side_by_side"]

_TOLD_ELSEWHERE = ("data.digest", "model.digest", "fingerprint", "estimate")


@dataclass(frozen=True)
class Difference:
    """An entry of two plans, or of their settings, that is not the same; as text."""

    what: str
    a: str
    b: str


@dataclass(frozen=True)
class Row:
    """One arm in one score: what both studies say of it, if they do."""

    arm: str
    metric: str
    a: Comparison | None
    b: Comparison | None


def differences(a: StudyResult, b: StudyResult, lang: str = "en") -> list[Difference]:
    """Entries of the plans and settings that differ, but for the hashes that say so too."""
    one, other = (dict(_entries(each, lang)) for each in (a, b))
    names = [name for name in dict.fromkeys([*one, *other]) if name not in _TOLD_ELSEWHERE]
    return [
        Difference(name, _text(one.get(name)), _text(other.get(name)))
        for name in names
        if one.get(name) != other.get(name)
    ]


def _entries(study: StudyResult, lang: str) -> Iterator[tuple[str, Any]]:
    notes = [messages(lang).note(note) for note in study.plan.notes]
    return _flat({**asdict(study.plan), "notes": notes, "settings": study.settings})


def _flat(record: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in record.items():
        if name == "space":  # families, model and versions say it in fewer words
            continue
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(each["name"] if isinstance(each, dict) else str(each) for each in value) or NOTHING
    return NOTHING if value is None else str(value)


def side_by_side(a: StudyResult, b: StudyResult) -> list[Row]:
    """Every comparison of the two, those of one arm and score together."""
    one, other = ({(each.arm, each.metric): each for each in study.comparisons} for study in (a, b))
    return [Row(*key, one.get(key), other.get(key)) for key in dict.fromkeys([*one, *other])]


def compare_pages(
    a: StudyResult, b: StudyResult, names: tuple[str, str] = ("A", "B"), lang: str = "en"
) -> str:
    """A self-contained page that sets two studies side by side.

    Args:
        a: one study.
        b: another.
        names: what to call them, e.g. their folders.
        lang: `en` or `zh`.

    Raises:
        DropkitError: there is no such language.
    """
    rows = side_by_side(a, b)
    return render(
        "compare.html.j2",
        lang,
        say=messages(lang),
        names=names,
        verdicts=[each.verdict for each in (a, b)],
        same=_same(a, b, lang),
        differ=differences(a, b, lang),
        heads=_heads(names, lang),
        rows=[_cells(row, a, b, lang) for row in rows],
    )


def _same(a: StudyResult, b: StudyResult, lang: str) -> list[str]:
    say = messages(lang)
    data = "same" if a.plan.data.digest == b.plan.data.digest else "other"
    model = "same" if a.plan.model.digest == b.plan.model.digest else "other"
    return [say(f"compare.{data}_data"), say(f"compare.{model}_model")]


def _heads(names: tuple[str, str], lang: str) -> list[str]:
    say = messages(lang)
    heads = [f"{name}: {say(key)}" for name in names for key in ("column.change", "column.outcome")]
    return [say("column.setting"), say("column.score"), *heads]


def _cells(row: Row, a: StudyResult, b: StudyResult, lang: str) -> list[str]:
    """Arm and score, then the change with its interval and the outcome in each study."""
    one, other = Words(a.plan, lang), Words(b.plan, lang)
    labels = dict.fromkeys(words.label(row.metric) for words in (one, other))
    return [
        one.arm(row.arm),
        " / ".join(labels),
        *_half(one, row.a),
        *_half(other, row.b),
    ]


def _half(words: Words, each: Comparison | None) -> list[str]:
    if each is None:
        return [NOTHING, words.say("compare.absent")]
    change = words.say("bracket", text=words.difference(each), inside=words.interval(each))
    return [change, words.say.name("outcome", each.outcome)]


def print_compared(
    a: StudyResult,
    b: StudyResult,
    console: Console,
    names: tuple[str, str] = ("A", "B"),
    lang: str = "en",
) -> None:
    """Print what `compare_pages` shows."""
    say = messages(lang)
    for line in _same(a, b, lang):
        console.print(Text(line))
    for name, each in zip(names, (a, b), strict=True):
        console.print(Text(f"{name}: {each.verdict.headline}", style="bold"))
    differ = [[each.what, each.a, each.b] for each in differences(a, b, lang)]
    if differ:
        table = make_table(say("compare.differ"), [say("column.what"), *names], differ, wraps=(1, 2))
        console.print(table)
    rows = [_cells(row, a, b, lang) for row in side_by_side(a, b)]
    if rows:
        heads = _heads(names, lang)
        console.print(make_table(say("compare.arms"), heads, rows, wraps=range(2, len(heads))))
