import re
from dataclasses import replace

from dropkit.report.curves import draw_curves
from dropkit.report.record import StudyResult
from dropkit.report.words import Words


def test_a_short_curve_has_whole_epochs_on_its_axis(result: StudyResult) -> None:
    runs = tuple(
        replace(run, curve=tuple(replace(point, epoch=at + 1) for at, point in enumerate(run.curve[:3])))
        for run in result.runs
    )
    picture = draw_curves(replace(result, runs=runs), Words(result.plan), "nll")
    assert picture is not None
    ticks = re.findall(r"xtick_\d+.*?>([\d.]+)</text>", picture.svg, re.DOTALL)
    assert ticks == ["1", "2", "3"]
