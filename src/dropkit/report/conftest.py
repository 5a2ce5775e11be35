from collections.abc import Callable
from dataclasses import replace

import pytest
from tests import made_up

from dropkit.report.record import StudyResult


@pytest.fixture(scope="session")
def result() -> StudyResult:
    """A searched study of 10 pairs."""
    return made_up.study()


@pytest.fixture(scope="session")
def chinese() -> StudyResult:
    """The same in Chinese."""
    return made_up.study("zh")


@pytest.fixture(scope="session")
def bare(result: StudyResult) -> StudyResult:
    """The same with few pictures, so that its page is drawn fast."""
    runs = tuple(replace(run, curve=()) for run in result.runs[:14])
    arms = tuple(each for each in result.arms if not each.arm.rate)
    return replace(result, runs=runs, arms=arms, tried=(), sealed=(), fit=None, calibration=())


@pytest.fixture
def without_pairs(result: StudyResult) -> StudyResult:
    """A study that was stopped before anything could be compared."""
    return replace(
        result,
        runs=result.runs[:3],
        tried=(),
        families=(),
        arms=(),
        comparisons=(),
        sealed=(),
        calibration=(),
        fit=None,
        complete_pairs=0,
        stopped_early=True,
        verdict=replace(result.verdict, sentences=(), recommended="none"),
    )


@pytest.fixture
def renamed(result: StudyResult) -> Callable[[str], StudyResult]:
    """The study with another name of its data and of an arm."""

    def rename(name: str) -> StudyResult:
        arms = (replace(result.arms[0], arm=replace(result.arms[0].arm, name=name)), *result.arms[1:])
        runs = tuple(replace(run, arm=name) if run.arm == "none" else run for run in result.runs)
        comparisons = (replace(result.comparisons[0], arm=name), *result.comparisons[1:])
        plan = replace(result.plan, data=replace(result.plan.data, name=name))
        return replace(result, plan=plan, arms=arms, comparisons=comparisons, runs=runs)

    return rename
