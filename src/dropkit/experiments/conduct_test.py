import json
import sqlite3
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import dropkit
from dropkit.experiments import stages, study
from dropkit.experiments.families import BROUGHT
from dropkit.experiments.families import UNREGULARISED as NONE
from dropkit.experiments.models import mlp
from dropkit.experiments.recipe import Recipe
from dropkit.experiments.runner import run_all
from dropkit.report.plan import Arm, Job
from dropkit.report.plan_text import plan_lines
from dropkit.report.record import Run, StudyResult
from dropkit.report.watcher import Quiet

Tiny = Callable[..., StudyResult]
ARMS = (NONE, Arm("dropout 0.5", "dropout", rate=0.5))


def table(result: StudyResult) -> list[Any]:
    """Everything but seconds."""
    return [replace(run, seconds=0) for run in result.runs]


def stop_after(count: int) -> Callable[..., Generator[Run]]:
    """Ctrl-C when `count` runs are finished."""

    def stopped(*arguments: Any) -> Generator[Run]:
        for at, run in enumerate(run_all(*arguments), start=1):
            yield run
            if at == count:
                raise KeyboardInterrupt

    return stopped


def count_runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    counts: list[int] = []

    def counting(wanted: Sequence[Job], *arguments: Any) -> Generator[Run]:
        counts.append(len(wanted))
        return run_all(wanted, *arguments)

    monkeypatch.setattr(stages, "run_all", counting)
    return counts


def test_a_run_is_counted_once_however_many_looks_there_are(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(Quiet, "finished", lambda _, run: told.append(run.id))
    runs = tiny(looks=2).runs
    assert sorted(told) == sorted(run.id for run in runs)


def test_a_study_leaves_a_page_a_record_and_every_run(tiny: Tiny, tmp_path: Path) -> None:
    result = tiny()
    assert {path.name for path in (tmp_path / "study").iterdir()} == {
        "report.html",
        "study.json",
        "runs.sqlite",
        "model.safetensors",
    }
    record = json.loads((tmp_path / "study" / "study.json").read_text())
    assert record["schema"] == 3
    assert len(record["runs"]) == len(result.runs) == 12
    assert record["verdict"]["headline"] == result.verdict.headline


def test_the_same_seed_gives_the_same_table_for_any_number_of_workers(tiny: Tiny, tmp_path: Path) -> None:
    one, two = (tiny(workers=workers, out=tmp_path / str(workers)) for workers in (1, 2))
    other = tiny(seed=1, out=tmp_path / "other")
    assert table(one) == table(two)
    assert table(one) != table(other)
    assert one.table_hash == two.table_hash
    assert one.table_hash != other.table_hash


def test_ctrl_c_keeps_complete_pairs_and_the_next_call_goes_on(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tiny(out=tmp_path / "whole")
    with monkeypatch.context() as patched:
        patched.setattr(stages, "run_all", stop_after(9))
        stopped = tiny()
    assert stopped.stopped_early
    assert stopped.complete_pairs == 4
    assert stopped.comparisons[0].pairs == 4
    assert any("Stopped early" in caveat for caveat in stopped.verdict.caveats)
    assert (tmp_path / "study" / "report.html").exists()
    counts = count_runs(monkeypatch)
    resumed = tiny()
    assert counts == [3]
    assert replace(resumed, seconds=0, files={}, runs=()).comparisons == whole.comparisons


def test_a_second_call_trains_nothing_and_fresh_trains_all(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = count_runs(monkeypatch)
    first = tiny()
    assert table(tiny()) == table(first)
    assert table(tiny(fresh=True)) == table(first)
    assert counts == [12, 0, 12]


def test_another_plan_leaves_the_runs_of_the_first_alone(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = count_runs(monkeypatch)
    tiny()
    tiny(epochs=3)
    tiny()
    assert counts == [12, 12, 0]


def test_more_arms_pairs_and_another_margin_use_old_runs(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = count_runs(monkeypatch)
    arms = (NONE, Arm("half", "renamed", rate=0.5), Arm("dropout 0.1", "renamed", rate=0.1))
    tiny()
    more = tiny(arms=arms, pairs=8, margin="off")
    assert counts == [12, 6 + 2 * 3]
    assert {(run.plan, run.arm) for run in more.runs} == {(more.plan.fingerprint, arm.name) for arm in arms}


def test_changed_data_is_another_plan(tiny: Tiny, arrays: Any) -> None:
    x, y = arrays
    assert tiny().plan.fingerprint != tiny((x + 1e-9, y)).plan.fingerprint


def test_failed_runs_are_counted_and_tried_again(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = tmp_path / "net.py"
    net.write_text(
        "import torch\nfrom torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.net = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))\n"
        "    def forward(self, x):\n"
        "        return self.net(x) * (float('nan') if self.training else 1.0)\n"
    )
    counts = count_runs(monkeypatch)
    results = [tiny(model=f"{net}:Net") for _ in range(2)]
    assert counts == [12, 12]
    assert all(run.failure for run in results[0].runs)
    assert results[0].verdict.headline.startswith("No verdict")


def test_a_regression_table_goes_all_the_way(tiny: Tiny, tmp_path: Path) -> None:
    rows = [f"{x},{'ab'[x % 2]},{3 * x + x % 7}" for x in range(90)]
    path = tmp_path / "table.csv"
    path.write_text("\n".join(["x,kind,price", *rows]))
    result = tiny(str(path), target="price")
    assert result.plan.data.task == "regression"
    assert "RMSE" in " ".join(result.verdict.sentences)


def test_the_same_plan_from_arguments_and_through_the_package(
    tiny: Tiny, arrays: Any, tmp_path: Path
) -> None:
    assert dropkit.study is study


def test_a_model_that_cannot_travel_is_refused_where_it_must(tiny: Tiny, tmp_path: Path) -> None:
    lock = threading.Lock()

    def make_model() -> nn.Module:
        with lock:
            return mlp((3,), 2)

    assert tiny(model=make_model).complete_pairs == 6
    with pytest.raises(dropkit.DropkitError, match=r"workers must be able to load the model.*ask for 1"):
        tiny(model=make_model, workers=2, fresh=True)


def test_a_null_data_set_recommends_nothing(tiny: Tiny) -> None:
    rng = np.random.default_rng(3)
    result = tiny((rng.normal(size=(120, 4)), rng.integers(0, 2, 120)))
    assert result.verdict.recommended == "none"


class Drops(nn.Module):
    """Dropout as a module and as a call."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.act, self.own, self.head = (
            nn.Linear(3, 16),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Linear(16, 2),
        )

    def forward(self, x: Tensor) -> Any:
        return self.head(F.dropout(self.own(self.act(self.first(x))), 0.3, training=self.training))


def test_the_models_own_dropout_and_what_cannot_be_switched_off_are_said(tiny: Tiny, tmp_path: Path) -> None:
    result = tiny(model=Drops, arms=(*ARMS, BROUGHT), epochs=1)
    record = json.loads((tmp_path / "study" / "study.json").read_text())
    assert record["plan"]["model"]["own_dropout"] == ["1 x Dropout"]
    assert record["plan"]["model"]["random_modes"] == ["training"]
    assert "as brought" in {each.arm for each in result.comparisons}
    planned = " ".join(plan_lines(result.plan))
    assert "dropout of its own (1 x Dropout): it stays on in “as brought” alone" in planned
    assert "Arm none is not free of noise" in " ".join(result.verdict.sentences)


def test_a_plain_model_has_nothing_to_confess(tiny: Tiny) -> None:
    plan = tiny(epochs=1).plan
    assert (plan.model.own_dropout, plan.model.random_modes) == ((), ())


def test_a_study_that_goes_on_says_what_is_there_and_what_was_damaged(
    tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny(quiet=False)
    assert "finished runs" not in capsys.readouterr().err
    with closing(sqlite3.connect(tmp_path / "study" / "runs.sqlite")) as connection, connection:
        connection.execute("UPDATE runs SET checksum = '' WHERE id = (SELECT min(id) FROM runs)")
    tiny(quiet=False)
    said = " ".join(capsys.readouterr().err.split())
    assert "11 finished runs of 12 at most found in" in said
    assert "1 record in" in said
    assert "12/12" in said
    tiny(quiet=False, fresh=True)
    assert "finished runs" not in capsys.readouterr().err


def wrong(y: Any, outputs: Any) -> Any:
    """A metric, one number a row."""
    return outputs.argmax(1) != y


class Counted:
    """A metric that is an object."""

    def __call__(self, y: Any, outputs: Any) -> Any:
        return outputs.argmax(1) != y


def test_a_metric_without_a_name_of_its_own_has_one_that_can_be_read(tiny: Tiny) -> None:
    metrics = (wrong, lambda y, outputs: outputs.argmax(1) != y, Counted())
    names = [tiny(metric=metric, dry_run=True).plan.tests.name for metric in metrics]
    assert names == ["wrong", "metric", "Counted"]


def test_what_is_the_users_own_stands_in_the_plan(tiny: Tiny, tmp_path: Path) -> None:
    result = tiny(metric=wrong, recipe=Recipe(optimizer=torch.optim.SGD))
    record = json.loads((tmp_path / "study" / "study.json").read_text())
    assert record["plan"]["model"]["pieces"] == {"optimizer": "SGD", "metric": "wrong"}
    assert "optimizer SGD" in (tmp_path / "study" / "report.html").read_text()
    assert result.plan.fingerprint != tiny(metric=wrong).plan.fingerprint
