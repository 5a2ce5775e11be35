from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from dropkit.experiments import study
from dropkit.experiments.arrays import array_dataset
from dropkit.experiments.dataset import Dataset, Split
from dropkit.experiments.families import UNREGULARISED
from dropkit.experiments.group_split import check_groups
from dropkit.experiments.models import ModelSource
from dropkit.experiments.own import own_dropout
from dropkit.experiments.sites import places_for
from dropkit.experiments.split import Rows, Sizes, check_parts, cut_pairs
from dropkit.experiments.task import Task
from dropkit.report import plan
from dropkit.report.plan import Arm
from dropkit.report.record import StudyResult

Arrays = tuple[npt.NDArray[Any], npt.NDArray[Any]]


@pytest.fixture
def arrays() -> Arrays:
    """Eighty rows of three numbers, two classes that the first number nearly tells apart."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 3))
    return x, (x[:, 0] + 0.3 * rng.normal(size=80) > 0).astype(int)


@pytest.fixture
def cut() -> Callable[..., tuple[Sizes, list[Split]]]:
    """Cut the parts of some pairs, with the checks that come before and after."""

    def cut(data: Dataset, pairs: int, train_rows: int | None, seed: int = 0) -> tuple[Sizes, list[Split]]:
        rows = Rows.of(data)
        if rows.groups is not None:
            check_groups(rows.groups, rows.labels, data.classes)
        sizes, splits = cut_pairs(rows, range(pairs), train_rows, seed)
        check_parts(data, [vars(split) for split in splits])
        return sizes, splits

    return cut


@pytest.fixture
def tiny(tmp_path: Path, arrays: Arrays) -> Callable[..., StudyResult]:
    """A study of twelve short runs, with whatever a test changes."""
    arms = (UNREGULARISED, Arm("dropout 0.5", "dropout", rate=0.5))
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


@pytest.fixture
def data(arrays: Arrays) -> Dataset:
    """Two classes."""
    return array_dataset(*arrays)


@pytest.fixture
def line(arrays: Arrays) -> Dataset:
    """A regression in units far from one."""
    x, _ = arrays
    return array_dataset(x, 5000 + 200 * x[:, 0])


@pytest.fixture
def images() -> Dataset:
    """Two classes of small images that lie apart."""
    rng = np.random.default_rng(0)
    y = np.arange(80) % 2
    return array_dataset(rng.normal(size=(80, 1, 8, 8)) + y[:, None, None, None], y)


def plan_of(data: Dataset, model: Any = "mlp", metric: str = "error", **training: Any) -> plan.Plan:
    """A plan by hand, over as many rows as the data hold."""
    source, shape = ModelSource(model), data.inputs.shape
    words = data.inputs.n_words
    built = source.build(shape, data.n_outputs, words)
    weight = training.pop("class_weight", "none")
    usual = {"epochs": 6, "checks": 6, "patience": 6, "batch": 16, "learning_rate": 1e-2}
    rows = len(data.y)
    return plan.Plan(
        plan.Data(data.name, "", data.task, rows, shape, data.n_outputs, data.guess_error, weight, words),
        plan.Model(source.name, "", places_for(built, shape, words), own_dropout(built)),
        plan.Parts(rows // 2, rows // 4, rows // 4, 0, "resampled", 0.5, fresh=True),
        plan.Training(**(usual | training)),
        plan.Search((), 1, 1, 1, 1, prune=False),
        plan.Inference(metric, None, 6, 1, 0.05, 0.8, 1, 1.0, 0.5),
        seed=0,
        versions={},
        fingerprint="plan",
    )


@pytest.fixture
def make_task() -> Callable[..., Task]:
    """A task over half of the rows; `job` are fields of its job, `changes` of its training."""

    def make(
        data: Dataset, arm: Arm, pair: int = 0, model: Any = "mlp", *, job: Any = None, **changes: Any
    ) -> Task:
        order = np.random.default_rng(pair).permutation(len(data.y))
        split = Split(*np.split(order, [len(order) // 2, 3 * len(order) // 4]))
        asked = plan.Job("run", arm, pair, **({"trial": "trial"} | (job or {})))
        own = {name: changes.pop(name) for name in ("folder", "recipe") if name in changes}
        return Task(plan_of(data, model, **changes), asked, data, split, ModelSource(model), **own)

    return make
