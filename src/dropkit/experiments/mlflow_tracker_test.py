import socket
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests import made_up

from dropkit.core.check import MissingPackage
from dropkit.experiments import trackers
from dropkit.experiments.mlflow_tracker import MlflowTracker
from dropkit.experiments.trackers import Tracked
from dropkit.report.messages import RAISED, Note
from dropkit.report.plan import FIRST_SCREENING
from dropkit.report.record import StudyResult
from dropkit.report.watcher import Quiet

mlflow = pytest.importorskip("mlflow", reason="MLflow is an optional package")
pytestmark = pytest.mark.filterwarnings(
    # MLflow's own queries.
    "ignore:The ``noload`` loader strategy:DeprecationWarning"
)


@pytest.fixture(autouse=True)
def _nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def result() -> StudyResult:
    whole = made_up.study()
    searched = replace(whole.runs[3], pair=FIRST_SCREENING)
    runs = (
        *whole.runs[:2],
        searched,
        replace(whole.runs[2], failure=Note(RAISED, {"text": "ValueError: no"}), select=None),
    )
    return replace(whole, runs=runs)


def track(tracker: MlflowTracker, result: StudyResult, told: int) -> None:
    tracker.planned(result.plan)
    for run in (*result.runs[:told], *result.runs):
        tracker.finished(run)
    tracker.concluded(result)


def kept(folder: Path) -> tuple[Any, list[Any]]:
    """The parent run and its children."""
    client = mlflow.MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("dropkit").experiment_id
    found = client.search_runs([experiment])
    (parent,) = (run for run in found if "dropkit.plan" in run.data.tags)
    return parent, [run for run in found if run is not parent]


def test_the_parent_has_plan_intervals_and_verdict_and_each_run_its_curve(
    tmp_path: Path, result: StudyResult, capfd: pytest.CaptureFixture[str]
) -> None:
    track(MlflowTracker(tmp_path), result, 2)
    assert capfd.readouterr() == ("", "")
    parent, children = kept(tmp_path)
    for each in result.comparisons:
        for name in ("mean", "low", "high"):
            value = parent.data.metrics.get(f"{each.metric}/{each.arm}/{name}")
            assert value == pytest.approx(getattr(each, name))
    assert parent.data.params["tests.pairs"] == str(result.plan.tests.pairs)
    assert parent.data.params["data.name"] == result.plan.data.name
    assert result.verdict.headline in parent.data.tags["mlflow.note.content"]
    assert parent.data.tags["recommended"] == result.verdict.recommended
    assert parent.info.status == "FINISHED"
    assert {each.data.tags["mlflow.parentRunId"] for each in children} == {parent.info.run_id}
    by_id = {each.data.tags["dropkit.run"]: each for each in children}
    assert sorted(by_id) == sorted(run.id for run in result.runs)
    first, searched, failed = (by_id[result.runs[at].id] for at in (0, 2, 3))
    assert result.runs[0].select is not None
    assert first.data.metrics["select/error"] == result.runs[0].select.error
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    curve = client.get_metric_history(first.info.run_id, "stop/nll")
    assert [(each.step, each.value) for each in curve] == [
        (point.epoch, point.stop.nll) for point in result.runs[0].curve
    ]
    assert (first.data.params["stage"], searched.data.params["stage"]) == ("compare", "search")
    assert (failed.info.status, failed.data.tags["failure"]) == ("FAILED", "ValueError: no")


def test_a_study_that_goes_on_goes_on_in_its_parent_and_tells_no_run_twice(
    tmp_path: Path, result: StudyResult
) -> None:
    first = MlflowTracker(tmp_path)
    first.planned(result.plan)
    first.finished(result.runs[0])
    first.failed()
    assert kept(tmp_path)[0].info.status == "FAILED"
    track(MlflowTracker(tmp_path), replace(result, stopped_early=True), 0)
    parent, children = kept(tmp_path)
    assert parent.info.status == "KILLED"
    assert len(children) == len(result.runs)


def test_names_that_mlflow_does_not_take_are_written_in_its_signs(
    tmp_path: Path, result: StudyResult
) -> None:
    named = replace(result, comparisons=(replace(result.comparisons[0], arm="ä%b"),))
    track(MlflowTracker(tmp_path), named, 0)
    assert f"{named.comparisons[0].metric}/__b/mean" in kept(tmp_path)[0].data.metrics


def test_a_pause_and_its_end_are_two_runs(tmp_path: Path, result: StudyResult) -> None:
    run = result.runs[0]
    track(MlflowTracker(tmp_path), replace(result, runs=(replace(run, paused=2), run)), 0)
    assert len(kept(tmp_path)[1]) == 2


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_a_server_that_refuses_connections_is_named_and_the_study_goes_on(
    tmp_path: Path, result: StudyResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{closed_port()}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    lines: list[str] = []
    tracked = Tracked(Quiet(), [MlflowTracker(tmp_path)], lines.append)
    tracked.planned(result.plan, 1, 0, "")
    tracked.concluded(result)
    (line,) = lines
    assert line.startswith("mlflow is left out: MlflowException: API request to http://127.0.0.1")
    assert not (tmp_path / "mlflow.db").exists()


def test_a_server_that_takes_connections_and_says_nothing_holds_up_the_end_within_bounds(
    tmp_path: Path, result: StudyResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{mute.getsockname()[1]}")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        monkeypatch.setattr(trackers, "_PATIENCE", 0.3)
        lines: list[str] = []
        tracked = Tracked(Quiet(), [MlflowTracker(tmp_path)], lines.append)
        tracked.planned(result.plan, 1, 0, "")
        tracked.concluded(result)
    assert lines == ["mlflow is left out: no answer within 0.3 seconds"]


@pytest.mark.parametrize("package", ["sqlalchemy", "alembic"])
def test_a_file_needs_two_packages_more(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingPackage, match=rf"{package} is not installed; type: pip install 'dropkit\[ml"):
        MlflowTracker(tmp_path)
