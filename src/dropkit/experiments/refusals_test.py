"""What a study refuses before any work: messages name the argument, the rule, the value and the mend."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from dropkit.core.check import DropkitError
from dropkit.experiments import study
from dropkit.experiments.families import UNREGULARISED as NONE
from dropkit.experiments.models import mlp
from dropkit.experiments.plan import (
    _CLASS_WEIGHT,
    _DESIGN,
    _EPOCHS,
    _LOOKS,
    _METRIC,
    _PAIRS,
    _SEED,
    _TASK,
    _TRAIN_ROWS,
    _TRIALS,
    _WORKERS,
)
from dropkit.experiments.recipe import Recipe
from dropkit.report.plan import Arm
from dropkit.report.record import StudyResult

Tiny = Callable[..., StudyResult]
GOOD = ["x,y", *(f"{i},{'ab'[i % 2]}" for i in range(80))]

CSV: dict[str, tuple[list[str], str]] = {
    "an empty file": ([], "data must hold a header line and rows"),
    "a header only": (["x,y"], "data must hold rows below its header"),
    "too few rows": (GOOD[:30], "target 'y' needs at least 60 rows"),
    "an unknown target": (
        ["x,z", *GOOD[1:]],
        "target must be a column of the table, got 'y'; choose from x, z",
    ),
    "a target alone": ([line.split(",")[1] for line in GOOD], "must have a column beside the target"),
    "a target without values": (["x,y", *(f"{i}," for i in range(80))], "target 'y' must hold values"),
    "one class": ([line.replace("b", "a") for line in GOOD], "must hold at least two classes, got 'a'"),
    "a rare class": ([*GOOD, "1,c"], "needs at least 10 rows of every class, got 'c: 1 row'"),
    "a constant number": (["x,y", *(f"{i},1" for i in range(80))], "must hold at least two classes, got '1'"),
    "an infinite cell": ([*GOOD, "inf,a"], r"column 'x' must be finite \(row 81 below the header\), got inf"),
    "an infinite target": (["x,y", *(f"{i},{i / 3}" for i in range(80)), "1,-inf"], "'y' must be finite"),
    "no values beside the target": (["x,y", *(",a", ",b") * 40], "data must have a column with values"),
    "a cell too many": ([*GOOD, "1,a,7"], "data must be a table with the same number of cells"),
}

MODELS: dict[str, tuple[str, str]] = {
    "a syntax error": ("def make(:", "must import: SyntaxError"),
    "a failing import": ("import no_such_package", "must import: ModuleNotFoundError"),
    "an exit": ("raise SystemExit(3)", "must import: SystemExit"),
    "an exit when called": ("import sys\ndef make(): sys.exit(0)", "must return a model, .* SystemExit: 0"),
    "no such name": ("other = 1", "must name a function of net.py, got 'make'"),
    "not a function": ("make = 7", "make must be a function, got 7"),
    "nothing returned": ("def make(): pass", "must return a torch.nn.Module, got None"),
    "an argument that nobody gives": (
        "def make(width): return width",
        "must return a model, called with nothing",
    ),
    "an error inside": ("def make(): return 1 / 0", "must return a model.*ZeroDivisionError"),
    "no parameters": ("def make(): return nn.ReLU()", "must have parameters to train"),
    "frozen parameters": (
        "def make(): return nn.Linear(1, 2).requires_grad_(False)",
        "must have parameters to train",
    ),
    "too many outputs": ("def make(): return net(1, 5)", r"must give \(batch, 2\) outputs.*got \(2, 5\)"),
    "other inputs": ("def make(): return net(9, 2)", r"must take inputs of shape \(batch, 1\)"),
    "a tuple for an output": ("def make(): return nn.RNN(1, 2)", "must give .* outputs.*got 'tuple'"),
    "an exit in a pass": ("def make(): return Exits()", "must take inputs of shape .* SystemExit: 3"),
    "half precision": ("def make(): return net(1, 2).half()", "must take inputs of shape .* dtype"),
    "infinite outputs": ("def make(): return nn.Sequential(net(1, 2), Huge())", "must give finite outputs"),
}

SHARED = mlp((3,), 2)

PRELUDE = """
import torch
from torch import nn
def net(inputs, outputs): return nn.Sequential(nn.Linear(inputs, 4), nn.ReLU(), nn.Linear(4, outputs))
class Huge(nn.Module):
    def forward(self, x): return x / 0.0
class Exits(nn.Linear):
    def __init__(self): super().__init__(1, 2)
    def forward(self, x): raise SystemExit(3)
"""


def untouched(out: Path) -> bool:
    return not out.exists() or not (out / "runs.sqlite").exists()


@pytest.mark.parametrize("case", CSV)
def test_a_table_is_refused(tiny: Tiny, tmp_path: Path, case: str) -> None:
    lines, message = CSV[case]
    path = tmp_path / "table.csv"
    path.write_text("\n".join(lines))
    with pytest.raises(DropkitError, match=message) as caught:
        tiny(str(path), target="y")
    assert caught.value.mend
    assert untouched(tmp_path / "study")


@pytest.mark.parametrize("case", MODELS)
def test_a_model_file_is_refused(tiny: Tiny, tmp_path: Path, case: str) -> None:
    text, message = MODELS[case]
    table, net = tmp_path / "table.csv", tmp_path / "net.py"
    table.write_text("\n".join(GOOD))
    net.write_text(text if "(:" in text else PRELUDE + text)
    with pytest.raises(DropkitError, match=message) as caught:
        tiny(str(table), target="y", model=f"{net}:make")
    assert caught.value.argument == "model"
    assert untouched(tmp_path / "study")


LARGE = (np.zeros((60, 1, 600, 600), np.uint8), np.arange(60) % 2)

RANGES = [
    *(("pairs", value, _PAIRS.rule) for value in _PAIRS.bad()),
    *(("workers", value, _WORKERS.rule) for value in _WORKERS.bad() if value is not None),
    *(("trials", value, _TRIALS.rule) for value in _TRIALS.bad() if value is not None),
    *(("looks", value, _LOOKS.rule) for value in _LOOKS.bad()),
    *(("design", value, _DESIGN.rule) for value in _DESIGN.bad()),
    *(("seed", value, _SEED.rule) for value in _SEED.bad()),
    *(("epochs", value, _EPOCHS.rule) for value in _EPOCHS.bad() if value is not None),
    *(("train_rows", value, _TRAIN_ROWS.rule) for value in _TRAIN_ROWS.bad() if value is not None),
    *(("task", value, _TASK.rule) for value in _TASK.bad()),
    *(("metric", value, _METRIC.rule) for value in _METRIC.bad()),
    *(("class_weight", value, _CLASS_WEIGHT.rule) for value in _CLASS_WEIGHT.bad()),
]


@pytest.mark.parametrize(("argument", "value", "rule"), RANGES)
def test_a_number_or_word_out_of_its_range_is_refused(
    tiny: Tiny, argument: str, value: Any, rule: str
) -> None:
    with pytest.raises(DropkitError) as caught:
        tiny(**{argument: value})
    assert (caught.value.argument, caught.value.rule) == (argument, rule)
    assert caught.value.mend


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": "digit"}, "data must be .*did you mean 'digits'"),
        ({"data": "missing.csv", "target": "y"}, "data must be a file that can be read.*'missing.csv'"),
        ({"model": "nlp"}, "model must be .*did you mean 'mlp'"),
        ({"model": "nowhere.py:make"}, "model must name a file that exists, got 'nowhere.py'"),
        ({"model": lambda: SHARED}, "must be fresh at every call"),
        ({"model": "cnn"}, "'cnn' needs images of at least 4 x 4 pixels"),
        ({"model": 3}, "model must be 'mlp', 'cnn', 'text' or FILE.py:make_model, got 3"),
        ({"model": nn.Linear(3, 2)}, "a function that returns a fresh model.*write model=lambda: Linear"),
        ({"model": lambda: torch.jit.script(nn.Linear(3, 2))}, "must hold no module of TorchScript"),
        ({"model": lambda shape, classes: SHARED}, "called with nothing.*it may take input_shape=, n_out"),
        ({"data": LARGE}, r"'mlp' takes at most 262,144 numbers a row, got \(1, 600, 600\)"),
        ({"out": "a\0b"}, "out must be a folder that can be written .embedded null byte"),
        ({"train_rows": 62}, "train_rows must leave 10 of the 68 rows"),
        ({"task": "regression", "data": (np.zeros((80, 2)), np.array(["a", "b"] * 40))}, "must be numeric"),
        ({"data": (np.zeros((80, 2)), np.zeros(80)), "task": "regression"}, "must vary"),
        ({"data": (np.zeros((80, 2)), np.zeros(79))}, "data must be \\(x, y\\) of as many rows"),
        ({"data": (np.full((80, 2), np.nan), np.arange(80) % 2)}, "data x must be finite"),
        ({"data": (np.full((80, 2), "text"), np.arange(80) % 2)}, "data x must hold real numbers"),
        ({"arms": (NONE,)}, "arms must hold `none` and one other arm"),
        ({"arms": (NONE, NONE)}, "arms must have different names"),
        ({"arms": (NONE, Arm("d", "dropout", rate=1.0))}, "rate of arm 'd' must be a number in"),
        ({"arms": (NONE, Arm("d", "dropout", rate=np.nan))}, "rate of arm 'd' must be a number in"),
        ({"arms": (NONE, Arm("d", "dropout", input_rate=-0.1))}, "input_rate of arm 'd' must"),
        ({"arms": (NONE, Arm("d", "decay", weight_decay=-1.0))}, "weight_decay of arm 'd' must"),
        ({"arms": (NONE, Arm("d", "d", rate=0.5, at=("7",)))}, "at of arm 'd' must be places"),
        ({"arms": (NONE, Arm("d", "d", augment=0.1))}, "arm 'd' must mean something here: only images"),
        ({"budget": "1s", "arms": None}, "budget must pay for the shortest study with 6 pairs"),
        ({"lang": "de"}, "lang must"),
        ({"resume": True}, "resume takes the options of the study that it goes on with"),
        ({"metric": "nowhere.py:fn"}, "metric must name a file that exists"),
        ({"metric": "f1"}, "metric must be"),
        ({"metric": "rmse"}, "metric must suit a classification, got 'rmse'"),
        ({"data": ""}, "data must be one of digits"),
        ({"folder": "/nowhere"}, "folder must be left out: only fashion-mnist is read from it"),
        ({"metric": lambda y, shown: 1 / 0}, "metric must get through a first .* ZeroDivisionError"),
        ({"metric": lambda y, shown: "good"}, "metric must get through a first .* ValueError"),
        ({"metric": lambda y, shown: np.nan}, "metric must get through a first .* must give finite numbers"),
        ({"metric": lambda y: 0.0}, "metric must get through a first .* TypeError"),
        ({"metric": lambda y, shown: [1.0, 2.0]}, "metric must get through a first .* one for each of"),
        ({"recipe": Recipe(loss=lambda shown, y: shown)}, "loss must get through a first .* RuntimeError"),
        ({"recipe": Recipe(step=lambda model, batch, optimizer: None)}, "step must get through a first"),
        ({"recipe": Recipe(optimizer=lambda p, lr, weight_decay: 3)}, "optimizer must get .* torch.optim"),
        ({"track": ["wandb"]}, "track must be one of"),
        ({"ray": "nowhere.invalid:1"}, "ray must be a cluster that can be reached|pip install"),
    ],
)  # fmt: skip
def test_an_argument_is_refused(tiny: Tiny, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DropkitError, match=message) as caught:
        tiny(**changes)
    assert caught.value.mend


@pytest.mark.parametrize("place", ["a file", "below a file", "/proc/dropkit"])
def test_a_folder_that_cannot_be_written_is_refused_before_the_data_are_read(
    tiny: Tiny, tmp_path: Path, place: str
) -> None:
    (tmp_path / "a file").touch()
    out = tmp_path / place.replace("below a file", "a file/below")
    with pytest.raises(DropkitError, match="out must be a folder that can be written"):
        tiny("no such data", out=out)


class Shy(nn.Module):
    """Fails at batches that the checks before do not try."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp((3,), 2)

    def forward(self, x: torch.Tensor) -> Any:
        if len(x) > 20:
            raise SystemExit(7)
        return self.net(x)


def test_a_model_that_would_fail_in_every_run_is_refused_before_the_first(tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(
        DropkitError, match="model must get through a first short run: SystemExit: 7, got 'Shy'"
    ):
        tiny(model=Shy)
    with closing(sqlite3.connect(tmp_path / "study" / "runs.sqlite")) as connection:
        assert connection.execute("SELECT count(*) FROM failures").fetchone() == (0,)


def test_a_loss_that_is_no_number_ends_without_a_verdict_and_says_why(tiny: Tiny, tmp_path: Path) -> None:
    result = tiny(recipe=Recipe(loss=lambda shown, y: shown.sum() * float("nan")))
    assert result.comparisons == ()
    page = (tmp_path / "study" / "report.html").read_text(encoding="utf-8")
    assert "12 runs failed (dropout 0.5 and none): the training loss became nan." in page


def test_going_on_where_nothing_is_makes_nothing(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "absent"):
        with pytest.raises(DropkitError, match="out must hold a study to go on with"):
            study(resume=True, out=place, quiet=True)
    assert list(tmp_path.iterdir()) == []
