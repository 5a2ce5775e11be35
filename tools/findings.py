"""What the README says that studies found, once more: `python -m tools.findings NAME [FILE]`.

Reports go to build/findings; `python -m tools.findings table` writes the README's table from them, with `zh`
in Chinese. Epochs and trials are given, so that no answer but that on the digits, the default study, depends
on the machine. The bicycles need ISLP's file Bikeshare.csv (`pip download --no-deps ISLP`), the glosses
WordNet's file data.noun (on Debian: `apt-get install wordnet-base`, which puts it into /usr/share/wordnet).
"""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

import dropkit
from dropkit.cli.report import told
from dropkit.report.load import load_result
from dropkit.report.plan import NONE, Arm
from dropkit.report.record import StudyResult
from dropkit.report.words import Words

__all__ = ["STUDIES", "glosses", "table"]

GIVEN = (
    Arm("none", "none"),
    Arm("dropout 0.2", "dropout", rate=0.2),
    Arm("dropout 0.5", "dropout", rate=0.5),
    Arm("input dropout 0.1", "input dropout", input_rate=0.1),
    Arm("label smoothing 0.1", "label smoothing", label_smoothing=0.1),
)
"""Where a search would take hours."""

STUDIES: Mapping[str, Mapping[str, Any]] = {
    "digits": {"data": "digits"},
    "fashion-1000": {"data": "fashion-mnist", "train_rows": 1_000, "epochs": 20, "trials": 8},
    "fashion-5000": {"data": "fashion-mnist", "train_rows": 5_000, "epochs": 10, "trials": 5},
    "fashion-60000": {
        "data": "fashion-mnist",
        "train_rows": 42_000,
        "arms": GIVEN,
        "pairs": 6,
        "epochs": 6,
    },
    "bicycles": {
        "target": "bikers",
        "group": "day",  # hours of one day are alike
        "ignore": ["casual", "registered"],
        "epochs": 12,
        "trials": 6,
    },
    "glosses": {"target": "kind", "text": "gloss", "epochs": 6, "trials": 5},
}
"""By name; the last two take their data from a file."""

# In the order of WordNet's numbers, which begin at 3 for nouns.
_KINDS = """
    Tops act animal artifact attribute body cognition communication event feeling food group location
    motive object person phenomenon plant possession process quantity relation shape state substance time
""".split()  # noqa: SIM905  shorter than a list of quoted names
_ROWS, _FEWEST = 6_000, 150


def glosses(path: Path) -> pd.DataFrame:
    """Explanations of nouns without their examples, with the kind of thing that each is about.

    Kinds with few of them are left out; of the others as many are drawn as their share, and 150 at least.

    Args:
        path: WordNet's file `data.noun`.
    """
    lines = [line for line in path.read_text("latin-1").splitlines() if not line.startswith("  ")]
    found = {(_plain(gloss), _kind(head)) for head, _, gloss in (line.partition(" | ") for line in lines)}
    every: dict[str, list[str]] = {}
    for text, kind in sorted(each for each in found if each[0]):
        every.setdefault(kind, []).append(text)
    kept = {kind: every[kind] for kind in sorted(every) if len(every[kind]) >= _FEWEST}
    draw = random.Random(0)
    for texts in kept.values():
        draw.shuffle(texts)
    left = _ROWS - _FEWEST * len(kept)
    more = sum(len(texts) - _FEWEST for texts in kept.values())
    count = {kind: _FEWEST + round(left * (len(texts) - _FEWEST) / more) for kind, texts in kept.items()}
    rows = [(text, kind) for kind, texts in kept.items() for text in texts[: count[kind]]]
    draw.shuffle(rows)
    return pd.DataFrame(rows, columns=["gloss", "kind"])


def _plain(gloss: str) -> str:
    text = re.sub(r'"[^"]*"?', "", gloss)
    return re.sub(r"[;:,\s]+$", "", re.sub(r"\s+", " ", text)).strip(" ;")


def _kind(head: str) -> str:
    return _KINDS[int(head.split()[1]) - 3]


_TITLES = {"en": ("study", "learns from", "none", "answer"), "zh": ("研究", "训练行数", "无正则", "结论")}


def table(folder: Path, lang: str = "en") -> str:
    """What the studies below a folder say, as a table in Markdown.

    Args:
        folder: with one folder a study, by the names of `STUDIES`.
        lang: of the headlines, `en` or `zh`.
    """
    found = [(name, folder / name) for name in STUDIES if (folder / name / "study.json").is_file()]
    rows = [_TITLES[lang], ("---",) * 4, *(_row(name, load_result(path), lang) for name, path in found)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(name: str, result: StudyResult, lang: str) -> tuple[str, ...]:
    words, metric = Words(result.plan, lang), result.plan.metrics[0]
    none = next(each for each in result.arms if each.arm.name == NONE)
    score = f"{words.label(metric)} {words.quantity(metric, getattr(none.select, metric))}"
    return name, f"{result.plan.parts.train:,}", score, told(result, lang).verdict.headline


def main(arguments: list[str]) -> None:
    """Make one of them; its report stays."""
    if arguments[:1] == ["table"]:
        print(table(Path("build/findings"), *arguments[1:2]))
        return
    if len(arguments) not in (1, 2) or arguments[0] not in STUDIES:
        sys.exit(f"write `python -m tools.findings NAME [FILE]`, NAME being one of {', '.join(STUDIES)}")
    name, options = arguments[0], dict(STUDIES[arguments[0]])
    if "data" not in options:
        if len(arguments) == 1:
            sys.exit(f"{name} needs a file: see the first lines of tools/findings.py")
        path = Path(arguments[1])
        options["data"] = glosses(path) if name == "glosses" else str(path)
    dropkit.study(**options, out=Path("build/findings") / name)


if __name__ == "__main__":
    main(sys.argv[1:])
