import json
import math
from pathlib import Path

import pytest
import torch

from benchmarks.skip_accuracy import KINDS, Run, page, train

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_trains_the_epochs_asked_for(kind: str) -> None:
    x = torch.randn(40, 6, generator=torch.Generator().manual_seed(0))
    run = train(kind, 1, (x, x.argmax(1), x, x.argmax(1)), 2)
    assert len(run.accuracy) == len(run.seconds) == 2
    assert 0 <= min(run.accuracy) <= max(run.accuracy) <= 100
    assert run.seconds == tuple(sorted(run.seconds))


def test_equal_time_counts_whole_epochs_alone() -> None:
    run = Run("thinned", 0, (50.0, 60.0, 70.0), (1.0, 2.0, 3.0))
    assert [run.within(budget) for budget in (2.9, 3.0, 9.0)] == [60.0, 70.0, 70.0]
    assert math.isnan(run.within(0.5))


def test_the_published_table_is_that_of_the_published_runs() -> None:
    told = json.loads((DOCS / "skip_accuracy.json").read_text())
    runs = [
        Run(run["kind"], run["seed"], tuple(run["accuracy"]), tuple(run["seconds"])) for run in told["runs"]
    ]
    assert page(runs, told["epochs"]) in (DOCS / "skip.md").read_text()
