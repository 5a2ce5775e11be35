from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from dropkit.experiments import study
from dropkit.experiments.arms import NONE
from dropkit.report.record import Arm, StudyResult

Arrays = tuple[npt.NDArray[Any], npt.NDArray[Any]]


@pytest.fixture
def arrays() -> Arrays:
    """Eighty rows of three numbers, two classes that the first number nearly tells apart."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 3))
    return x, (x[:, 0] + 0.3 * rng.normal(size=80) > 0).astype(int)


@pytest.fixture
def tiny(tmp_path: Path, arrays: Arrays) -> Callable[..., StudyResult]:
    """A study of twelve short runs, with whatever a test changes."""
    arms = (NONE, Arm("dropout 0.5", "dropout", rate=0.5))
    usual: dict[str, Any] = {
        "arms": arms,
        "pairs": 6,
        "epochs": 2,
        "workers": 1,
        "quiet": True,
        "out": tmp_path / "study",
    }

    def run(data: Any = arrays, **changes: Any) -> StudyResult:
        return study(data, **(usual | changes))

    return run
