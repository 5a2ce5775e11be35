import json
from dataclasses import asdict, replace

from dropkit.report.record import Run, StudyResult
from dropkit.report.words import change, number, quantity


def test_runs_and_results_survive_json(result: StudyResult) -> None:
    for run in result.runs[:3]:
        assert Run.from_dict(json.loads(json.dumps(asdict(run)))) == run
    record = json.loads(json.dumps(result.to_dict()))
    assert len(record["runs"]) == len(result.runs)
    assert "runs" not in result.to_dict(runs=False)


def test_the_primary_metric_comes_first(result: StudyResult) -> None:
    assert result.plan.metrics == ("error", "nll")
    assert replace(result.plan, metric="nll").metrics == ("nll", "error")


def test_scores_are_written_in_their_units(result: StudyResult) -> None:
    percent, plain = result.plan, replace(result.plan, unit="")
    assert quantity(percent, "error", 0.1234) == "12.34 %"
    assert quantity(plain, "error", 1234.56) == "1235"
    assert quantity(percent, "nll", 0.5) == "0.500"
    assert number(percent, "error", -0.01) == "−1.00"
    assert change(percent, "error", -0.01) == "1.00 points"
