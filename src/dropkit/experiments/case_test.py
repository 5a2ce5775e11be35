"""A whole study with its search, on few rows, and what it must not do."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from safetensors import safe_open
from torch import Tensor, nn

from dropkit.experiments import stages as module
from dropkit.experiments import study, vault
from dropkit.experiments.arrays import array_dataset
from dropkit.experiments.crew import Alone
from dropkit.experiments.dataset import Floats, ImageInputs, Index
from dropkit.experiments.families import BROUGHT, UNREGULARISED
from dropkit.experiments.looks import level_at
from dropkit.experiments.runner import run_all
from dropkit.experiments.weights import read_kept
from dropkit.report.load import load_result
from dropkit.report.messages import Note
from dropkit.report.plan import FIRST_SCREENING, Job
from dropkit.report.record import Run, StudyResult

SHORT: dict[str, Any] = {"trials": 2, "epochs": 2, "pairs": 6, "quiet": True}


@pytest.fixture(scope="module")
def images() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    y = np.arange(160) % 2
    return rng.normal(size=(160, 1, 8, 8)) + 0.3 * y[:, None, None, None], y


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("searched")


@pytest.fixture(scope="module")
def searched(images: Any, folder: Path) -> StudyResult:
    return study(images, workers=1, out=folder, **SHORT)


def test_every_family_has_the_same_budget_and_at_most_five_go_on(searched: StudyResult) -> None:
    assert {family.trials for family in searched.families} == {2}
    assert tuple(family.name for family in searched.families) == searched.plan.search.families
    assert [each.arm.name for each in searched.arms][:2] == ["none", "as brought"]
    finalists = [family.name for family in searched.families if family.finalist and family.name != "none"]
    assert len(finalists) == 5
    assert {each.arm for each in searched.comparisons} <= {*finalists, "as brought"}


def test_the_worse_half_of_a_family_ends_half_way_and_the_best_goes_to_its_end(searched: StudyResult) -> None:
    whole = {run.arm for run in searched.runs if not run.paused}
    pruned = [arm.name for arm in searched.tried if arm.name not in whole]
    assert len(pruned) == sum(family.pruned for family in searched.families) > 0
    settings = {replace(arm, name=arm.family) for arm in searched.tried if arm.name in whole}
    assert {family.best for family in searched.families if family.best} <= settings


def test_settings_are_chosen_and_compared_on_pairs_of_their_own(searched: StudyResult) -> None:
    compared = {each.arm.name for each in searched.arms}
    assert all((run.pair < FIRST_SCREENING) == (run.arm in compared or run.arm.startswith("none,"))
               for run in searched.runs if not run.paused)  # fmt: skip
    tried = {arm.name for arm in searched.tried}
    assert {run.arm for run in searched.runs if run.pair >= FIRST_SCREENING} <= tried
    assert Counter(run.pair for run in searched.runs if run.arm in compared) == dict.fromkeys(range(6), 7)


def test_the_finalists_are_the_families_with_the_best_scores_of_the_search(searched: StudyResult) -> None:
    found = [each for each in searched.families if each.select and each.name != "none"]
    best = sorted(found, key=lambda each: (each.select.error, each.select.nll) if each.select else ())
    assert {each.name for each in best[:5]} == {each.name for each in found if each.finalist}


def test_calibration_is_that_of_the_model_before_and_of_what_is_recommended(searched: StudyResult) -> None:
    told = ("as brought", "none", searched.verdict.recommended)
    assert [each.arm for each in searched.calibration] == list(dict.fromkeys(told))


def test_two_workers_give_the_same_table(searched: StudyResult, images: Any, tmp_path: Path) -> None:
    assert study(images, workers=2, out=tmp_path, **SHORT).table_hash == searched.table_hash


def test_what_is_left_can_be_read_back(searched: StudyResult, folder: Path) -> None:
    assert load_result(folder) == searched
    assert {path.name for path in folder.iterdir()} >= {"report.html", "study.json", "model.safetensors"}
    assert not (folder / "weights").exists()
    assert not (folder / "checkpoints").exists()
    with safe_open(folder / "model.safetensors", "pt") as file:
        assert "0.1.weight" in file.keys()  # noqa: SIM118 - no mapping


def test_a_second_call_trains_nothing_and_does_not_open_the_sealed_part_again(
    searched: StudyResult, images: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(jobs: Any, *_: Any) -> Iterator[Any]:
        assert not jobs
        yield from ()

    monkeypatch.setattr(module, "run_all", none_left)
    again = study(images, workers=1, out=folder, **SHORT)
    assert replace(again, seconds=searched.seconds) == searched
    assert again.openings == searched.openings == 1
    resumed_options = json.loads((folder / "study.json").read_text())["settings"]
    assert resumed_options == {"data": ["<ndarray>", "<ndarray>"], "trials": 2, "epochs": 2, "pairs": 6}


def test_another_plan_for_the_same_question_is_exploratory(images: Any, tmp_path: Path) -> None:
    arms: dict[str, Any] = {"arms": (UNREGULARISED, BROUGHT), "epochs": 1, "pairs": 6, "quiet": True}
    first, second, third = (
        study(images, workers=1, out=tmp_path, margin=m, **arms) for m in ("0.5%", "1%", "0.5%")
    )
    assert (first.changed, third.changed) == ((), ())
    assert second.changed == ("tests.margin: 0.005 -> 0.01",)
    assert any("0.005" in caveat for caveat in second.verdict.caveats)


def test_a_dry_run_registers_the_plan_and_trains_nothing(
    images: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    planned = study(images, workers=1, out=tmp_path, dry_run=True, **SHORT | {"quiet": False})
    assert planned.runs == ()
    assert planned.plan.fingerprint in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"runs.sqlite"}
    arms = {**SHORT, "trials": 1}
    assert study(images, workers=1, out=tmp_path, dry_run=True, **arms).changed == ("search.trials: 2 -> 1",)


def test_the_model_on_a_folder_is_that_of_the_arm_that_its_last_record_names(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(2_000, 3))
    data = (x, (x[:, 0] > 0).astype(int))
    asleep = replace(UNREGULARISED, learning_rate=1e-9)
    awake, drowsy = (replace(UNREGULARISED, name=name, learning_rate=rate)
                     for name, rate in (("awake", 0.01), ("drowsy", 1e-10)))  # fmt: skip
    usual: dict[str, Any] = {"train_rows": 100, "epochs": 5, "pairs": 6, "margin": "off", "workers": 1}
    named = []
    for other in (awake, drowsy, awake):
        study(data, arms=(asleep, other), out=tmp_path, quiet=True, **usual)
        result = load_result(tmp_path)
        model = tmp_path / "model.safetensors"
        named.append((result.verdict.recommended, model.is_file()))
        if model.is_file():
            runs = {run.id for run in result.runs if run.arm == result.verdict.recommended}
            assert read_kept(model).run in runs
    assert named == [("awake", True), ("none", False), ("awake", False)]


# --- the sealed rows


class Counting(ImageInputs):
    """Images that count how often each was encoded, by what is in its corner."""

    counts: ClassVar[Counter[int]] = Counter()

    def take(self, rows: Index) -> "Counting":
        return Counting(self.pixels[rows], self.scale)

    def encoder(self, train: Index) -> Callable[[ImageInputs], Floats]:
        encode = super().encoder(train)

        def counting(inputs: ImageInputs) -> Floats:
            self.counts.update(inputs.pixels[:, 0, 0, 0].astype(int).tolist())
            return encode(inputs)

        return counting


def test_sealed_rows_are_read_once_a_pair_at_the_end_and_never_by_a_run(
    images: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = images
    x = x.copy()
    x[:, 0, 0, 0] = np.arange(160)
    data = array_dataset(x, y)
    assert isinstance(data.inputs, ImageInputs)
    counted = replace(data, inputs=Counting(data.inputs.pixels, data.inputs.scale))
    monkeypatch.setattr("dropkit.experiments.conduct.load_data", lambda *_: counted)
    Counting.counts.clear()
    result = study(images, workers=1, out=tmp_path, **SHORT)
    sealed = [row for row, count in Counting.counts.items() if count == 6]
    assert result.plan.parts.test == len(sealed) == 24
    assert min(count for row, count in Counting.counts.items() if row not in sealed) > 20
    before = Counting.counts.copy()
    study(images, workers=1, out=tmp_path, **SHORT)
    assert all(Counting.counts[row] == before[row] for row in sealed)


def test_after_ctrl_c_the_sealed_part_stays_shut(
    images: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    def stopped(jobs: Any, *rest: Any) -> Iterator[Any]:
        for run in run_all(jobs, *rest):
            yield run
            if run.pair == 4:
                raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(module, "run_all", stopped)
        half = study(images, workers=1, out=tmp_path, **SHORT)
    assert half.stopped_early
    assert (half.openings, half.sealed, half.complete_pairs) == (0, (), 4)
    whole = study(images, workers=1, out=tmp_path, **SHORT)
    assert (whole.openings, whole.complete_pairs) == (1, 6)


# --- looks


def test_a_clear_answer_ends_the_comparison_early(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(16_000, 3))
    y = (x[:, 0] > 0).astype(int)
    useless = replace(UNREGULARISED, name="no training", learning_rate=1e-9)
    result = study(
        (x, y), arms=(UNREGULARISED, useless), train_rows=100, epochs=20, pairs=20, looks=2,
        margin="off", workers=1, quiet=True, out=tmp_path,
    )  # fmt: skip
    assert result.complete_pairs == 10
    assert {each.outcome for each in result.comparisons} == {"worse"}
    assert {each.alpha for each in result.comparisons} == {level_at(0.05, 1, 2)}
    assert any(
        each.startswith("The comparison may end at any of 2 looks, so each interval covers with 99.9 %")
        for each in result.verdict.caveats
    )


def test_the_metric_of_ones_own_is_the_score(images: Any, tmp_path: Path) -> None:
    def miss(y: Any, outputs: Any) -> Any:
        return 1 - outputs[np.arange(len(y)), y]

    result = study(images, arms=(UNREGULARISED, BROUGHT), metric=miss, epochs=1, pairs=6,
                   workers=1, quiet=True, out=tmp_path)  # fmt: skip
    assert result.plan.tests.name.endswith("miss")
    assert 0.3 < result.arms[0].select.error < 0.6
    assert result.arms[0].select.error * 26 % 1 > 1e-6


def test_a_trainer_of_ones_own_trains_and_the_table_is_the_same(images: Any, tmp_path: Path) -> None:
    asked: list[str] = []

    class Mine(Alone):
        def begin(self, job: Job) -> Future[Run]:
            asked.append(job.id)
            return super().begin(job)

    arms: dict[str, Any] = {"arms": (UNREGULARISED, BROUGHT), "epochs": 1, "pairs": 6, "quiet": True}
    mine, ours = (
        study(images, out=tmp_path / str(crew), crew=crew, workers=1, **arms) for crew in (Mine, None)
    )
    assert mine.table_hash == ours.table_hash
    assert len(asked) == 12


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.steps, self.head = nn.LSTM(3, 8, batch_first=True), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Any:
        return self.head(self.steps(x)[0][:, -1])


@pytest.mark.parametrize("model", [Recurrent, lambda: nn.Sequential(nn.Flatten(), nn.Linear(15, 2))])
def test_a_model_without_a_place_inside_is_studied_for_all_else(model: Any, tmp_path: Path) -> None:
    y = np.arange(160) % 2
    x = np.random.default_rng(0).normal(size=(160, 5, 3)) + y[:, None, None]
    result = study((x, y), model=model, workers=1, out=tmp_path, **SHORT)
    names = [family.name for family in result.families]
    assert names == [
        *("none", "L2", "L1", "max-norm", "label smoothing", "input dropout"),
        *("deep ensemble", "bagging", "best two combined"),
    ]
    assert Note("note.no_places") in result.plan.notes
    assert result.complete_pairs == 6
    assert "Where it stands in the model" not in (tmp_path / "report.html").read_text()


def test_rows_of_one_group_stay_together_in_the_interval_of_the_sealed_part(
    tiny: Callable[..., StudyResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Index] = []

    def interval(*_: Any, groups: Index, **__: Any) -> tuple[float, float, float]:
        asked.append(groups)
        return 0.0, -1.0, 1.0

    monkeypatch.setattr(vault, "interval", interval)
    plan = tiny(group=np.arange(80) // 2).plan
    assert len(asked[0]) == plan.parts.test
    count = len(np.unique(asked[0]))
    assert count < plan.parts.test
    assert Note("note.sealed_groups", {"n": count}) in plan.notes
