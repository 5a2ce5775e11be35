from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from dropkit.experiments import study
from dropkit.experiments.arms import NONE
from dropkit.report.record import StudyResult


@pytest.fixture(scope="session")
def result(tmp_path_factory: pytest.TempPathFactory) -> StudyResult:
    """A real study of all default arms on few rows."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 3))
    y = (x[:, 0] > 0).astype(int)
    out = tmp_path_factory.mktemp("study")
    return study((x, y), pairs=6, epochs=2, workers=1, quiet=True, out=out)


@pytest.fixture
def without_pairs(result: StudyResult) -> StudyResult:
    """A study that was stopped before anything could be compared."""
    return replace(
        result, runs=result.runs[:3], arms=(), comparisons=(), complete_pairs=0, stopped_early=True
    )


@pytest.fixture
def renamed(result: StudyResult) -> Callable[[str], StudyResult]:
    """The study with another name of its data and of an arm."""

    def rename(name: str) -> StudyResult:
        arms = (replace(result.arms[0], arm=replace(NONE, name=name)), *result.arms[1:])
        runs = tuple(replace(run, arm=name) if run.arm == NONE.name else run for run in result.runs)
        comparisons = (replace(result.comparisons[0], family=name), *result.comparisons[1:])
        return replace(
            result, plan=replace(result.plan, data=name), arms=arms, comparisons=comparisons, runs=runs
        )

    return rename
