import json
from dataclasses import asdict, replace

from dropkit.report.record import Run, StudyResult


def test_runs_and_results_survive_json(result: StudyResult) -> None:
    for run in result.runs[:3]:
        assert Run.from_dict(json.loads(json.dumps(asdict(run)))) == run
    record = json.loads(json.dumps(result.to_dict()))
    assert len(record["runs"]) == len(result.runs)
    assert "runs" not in result.to_dict(runs=False)


def test_the_primary_metric_comes_first(result: StudyResult) -> None:
    assert result.plan.metrics == ("error", "nll")
    assert replace(result.plan, tests=replace(result.plan.tests, metric="nll")).metrics == ("nll", "error")
