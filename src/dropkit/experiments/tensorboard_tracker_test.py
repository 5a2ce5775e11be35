from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests import made_up

from dropkit.experiments.tensorboard_tracker import TensorBoardTracker
from dropkit.report.messages import RAISED, Note
from dropkit.report.plan import FIRST_SCREENING
from dropkit.report.record import StudyResult

pytest.importorskip("tensorboard", reason="TensorBoard is an optional package")

OF_STUDY = 2
"""Files of the study itself: one at its begin, one at its end."""


@pytest.fixture(scope="module")
def result() -> StudyResult:
    whole = made_up.study()
    searched = replace(whole.runs[3], pair=FIRST_SCREENING)
    failed = replace(whole.runs[2], failure=Note(RAISED, {"text": "ValueError: no"}), select=None, arm="../c")
    return replace(whole, runs=(*whole.runs[:2], searched, failed))


def track(folder: Path, result: StudyResult) -> Path:
    tracker = TensorBoardTracker(folder)
    tracker.planned(result.plan)
    for run in result.runs:
        tracker.finished(run)
    tracker.concluded(result)
    return folder / "tensorboard" / result.plan.fingerprint


def read(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder))
    found.Reload()
    return found


def scalars(folder: Path, tag: str) -> list[tuple[int, float]]:
    return [(each.step, each.value) for each in read(folder).Scalars(tag)]


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("events*"))


def test_each_run_has_its_curve_and_the_study_its_intervals(tmp_path: Path, result: StudyResult) -> None:
    root = track(tmp_path, result)
    run = result.runs[0]
    curve = scalars(root / f"compare/none/pair_1/{run.id}", "stop/error")
    assert [step for step, _ in curve] == [point.epoch for point in run.curve]
    assert [value for _, value in curve] == pytest.approx([point.stop.error for point in run.curve])
    for each in result.comparisons:
        for name in ("mean", "low", "high"):
            ((pairs, value),) = scalars(root / "study", f"{each.metric}/{each.arm}/{name}")
            assert pairs == result.complete_pairs
            assert value == pytest.approx(getattr(each, name))


def test_plan_verdict_and_failure_are_texts(tmp_path: Path, result: StudyResult) -> None:
    root = track(tmp_path, result)
    said = {
        tag: read(root / "study").Tensors(f"{tag}/text_summary")[0].tensor_proto.string_val[0].decode()
        for tag in ("plan", "verdict")
    }
    assert f'"fingerprint": "{result.plan.fingerprint}"' in said["plan"]
    assert result.verdict.headline in said["verdict"]
    failed = read(root / f"compare/_c/pair_1/{result.runs[3].id}")
    assert failed.Tags()["tensors"] == ["failure/text_summary"]


def test_search_and_comparison_lie_apart_and_nothing_lies_outside(
    tmp_path: Path, result: StudyResult
) -> None:
    root = track(tmp_path, result)
    assert {path.name for path in root.iterdir()} == {"compare", "search", "study"}
    assert len(files(tmp_path)) == len(files(root)) == len(result.runs) + OF_STUDY


def test_a_study_that_goes_on_writes_no_run_twice(tmp_path: Path, result: StudyResult) -> None:
    track(tmp_path, replace(result, runs=result.runs[:1]))
    root = track(tmp_path, result)
    assert len(files(root)) == len(result.runs) + OF_STUDY
