from dataclasses import replace

from dropkit.report.dots import draw_runs
from dropkit.report.record import StudyResult
from dropkit.report.words import Words


def test_a_line_parts_the_runs_of_the_search_from_those_compared(result: StudyResult) -> None:
    compared = tuple(run for run in result.runs if not result.plan.screens(run.pair))
    for runs, parted in ((result.runs, True), (compared, False)):
        picture = draw_runs(replace(result, runs=runs), Words(result.plan), "error")
        assert picture is not None
        assert ("parting" in picture.svg) is parted
