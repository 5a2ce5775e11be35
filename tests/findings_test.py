"""What repeats the README's findings asks for what a study takes, and reads WordNet as it is written."""

import inspect
from collections import Counter
from pathlib import Path

import pytest
from tools.findings import STUDIES, glosses, main

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


@pytest.mark.parametrize("arguments", [[], ["nothing"], ["glosses"], ["glosses", "a", "b"]])
def test_what_is_no_finding_is_said(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match=r"NAME being one of|needs a file"):
        main(arguments)
