"""What repeats the README's findings asks for what a study takes, and reads WordNet as it is written."""

import inspect
import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import pytest
from tests import made_up
from tools.findings import STUDIES, glosses, main, table

from dropkit.experiments import study


def test_every_finding_is_asked_of_a_study_by_options_that_it_has() -> None:
    options = inspect.signature(study).parameters
    assert all(options.keys() >= asked.keys() for asked in STUDIES.values())


def test_glosses_are_explanations_without_examples_of_kinds_that_are_not_rare(tmp_path: Path) -> None:
    line = '000{} {} n 01 word 0 000 @ | an explanation {}; "an example of it"  \n'
    rows = [
        line.format(kind, kind, number) for kind, many in (("04", 200), ("05", 149)) for number in range(many)
    ]
    path = tmp_path / "data.noun"
    path.write_text("  1 a licence\n" + "".join(rows))
    found = glosses(path)
    assert Counter(found.kind) == {"act": 200}
    assert set(found.gloss) == {f"an explanation {number}" for number in range(200)}


def test_the_table_has_a_row_with_the_headline_of_every_study_that_was_made(tmp_path: Path) -> None:
    (tmp_path / "bicycles").mkdir()
    result = made_up.study()
    (tmp_path / "bicycles" / "study.json").write_text(json.dumps(asdict(result)))
    *_, row = table(tmp_path).splitlines()
    assert row == f"| bicycles | 700 | error 30.00 % | {result.verdict.headline} |"
    *_, row = table(tmp_path, "zh").splitlines()
    assert row == f"| bicycles | 700 | 错误率 30.00 % | {made_up.study('zh').verdict.headline} |"


@pytest.mark.parametrize("arguments", [[], ["nothing"], ["glosses"], ["glosses", "a", "b"]])
def test_what_is_no_finding_is_said(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match=r"NAME being one of|needs a file"):
        main(arguments)
