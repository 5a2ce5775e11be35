import errno
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from dropkit.core.check import DropkitError
from dropkit.experiments.store import RunLog, prepare_folder
from dropkit.report.record import Point, Run, Scores

SCORES = Scores(0.25, 1.5)
RUN = Run("plan", "none", 0, 0.5, SCORES, SCORES, (Point(1, SCORES, SCORES), Point(2, SCORES, SCORES)))


def other(pair: int, plan: str = "plan") -> Run:
    return Run(plan, "none", pair, 0.5, SCORES, SCORES)


def test_runs_come_back_as_they_were(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    log.append(RUN)
    log.append(other(1))
    assert log.load("plan") == {("none", 0): RUN, ("none", 1): other(1)}


def test_runs_of_other_plans_and_failed_ones_are_left_out(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    for run in (RUN, other(1, plan="another"), Run("plan", "none", 2, 0.1, failure="NaN")):
        log.append(run)
    assert list(log.load("plan")) == [("none", 0)]
    assert list(log.load("another")) == [("none", 1)]


def test_a_tail_torn_at_any_byte_costs_the_torn_run_alone(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    log.append(RUN)
    whole = log.path.read_bytes()
    line = json.dumps(asdict(other(1))).encode()
    for cut in range(len(line)):
        log.path.write_bytes(whole + line[:cut])
        assert log.load("plan") == {("none", 0): RUN}
        log.append(other(2))
        assert set(log.load("plan")) == {("none", 0), ("none", 2)}


@pytest.mark.parametrize("line", [b"[]", b"{}", b"7", b"\xff\xfe", b'{"plan": "plan"}', b"null"])
def test_foreign_lines_are_passed_over(tmp_path: Path, line: bytes) -> None:
    log = RunLog(tmp_path)
    log.path.write_bytes(line + b"\n")
    log.append(RUN)
    assert log.load("plan") == {("none", 0): RUN}


def test_a_full_disk_is_said_and_what_is_finished_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = RunLog(tmp_path)
    log.append(RUN)

    def full(_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DropkitError, match=r"^out can no longer be written \(No space left.*make room"):
        log.append(other(1))
    assert ("none", 0) in log.load("plan")


def test_a_folder_is_made_and_left_empty(tmp_path: Path) -> None:
    assert list(prepare_folder(tmp_path / "a" / "b").iterdir()) == []


def test_an_old_result_that_cannot_be_replaced_is_refused(tmp_path: Path) -> None:
    (tmp_path / "report.html").mkdir()
    with pytest.raises(DropkitError, match="must be a folder that can be written"):
        prepare_folder(tmp_path)
