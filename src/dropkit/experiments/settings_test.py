import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dropkit.core.check import DropkitError
from dropkit.experiments.families import UNREGULARISED
from dropkit.experiments.settings import registered_settings, settings_of
from dropkit.experiments.store import Store
from dropkit.report.plan import Arm


def study(data: Any = "digits", *, arms: Any = None, ignore: Any = (), seed: int = 0, out: str = "") -> None:
    """Stands for the real one."""


def settings(**given: Any) -> dict[str, Any]:
    return settings_of(study, {"data": "digits", "arms": None, "ignore": (), "seed": 0, "out": "x"} | given)


def registered(folder: Path, settings: dict[str, Any]) -> dict[str, Any]:
    with Store(folder) as store:
        store.register("question", json.dumps(settings), "plan", "{}")
    return registered_settings(folder, {"data": "digits"})


def test_what_is_at_its_default_or_only_says_how_is_left_out() -> None:
    assert settings() == {"data": "digits"}
    assert settings(seed=1, ignore=["a"], out="y") == {"data": "digits", "seed": 1, "ignore": ["a"]}


def test_arrays_are_named_by_their_type() -> None:
    assert settings(data=(np.zeros(3), np.zeros(3)))["data"] == ["<ndarray>", "<ndarray>"]
    assert settings(data=np.zeros(3))["data"] == "<ndarray>"


def test_settings_come_back_as_they_were(tmp_path: Path) -> None:
    arms = (UNREGULARISED, Arm("d", "d", rate=0.5, at=("1",)))
    assert registered(tmp_path, settings(arms=arms, seed=2)) == {"data": "digits", "arms": arms, "seed": 2}


def test_more_options_beside_resume_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DropkitError, match=r"resume takes the options of the study .*got 'pairs, seed'"):
        registered_settings(tmp_path, {"data": "digits", "pairs": 7, "seed": 1})


def test_a_folder_without_a_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DropkitError, match="out must hold a study to go on with"):
        registered_settings(tmp_path, {"data": "digits"})


@pytest.mark.parametrize("data", [np.zeros(3), (np.zeros(3), np.zeros(3))])
def test_what_was_given_as_objects_is_asked_for_again(tmp_path: Path, data: Any) -> None:
    with pytest.raises(DropkitError, match=r"resume can go on only .*data=.*<ndarray>.*call dropkit.study"):
        registered(tmp_path, settings(data=data))
