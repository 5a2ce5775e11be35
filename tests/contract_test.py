"""Every method of the catalogue goes through the contract, on NumPy and torch; right ones raise no alarm."""

from __future__ import annotations

import importlib.util
import inspect
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.strangers import STRANGER
from tools.prove import laws

import dropkit.torch.methods
from dropkit import Blocks, Drop, DropkitError, Key, KofN
from dropkit.methods import catalogue
from dropkit.testing import Built, Declared, Shapes, Subject, examine, module_subject, numpy_subject, of
from dropkit.testing.registry import RUNS
from dropkit.testing.torch import torch_subject
from dropkit.torch import DropBlock2d

# A variant has description and layer of the method that it names, which is examined.
METHODS = sorted(name for name, method in catalogue().items() if method.describe and not method.variant_of)
BACKENDS = ["numpy", "torch"]
OWN = Path(dropkit.torch.methods.__file__).parent
DESCRIPTIONS = {
    "one coin": lambda rate: Drop(rate, "... -> "),
    "split axis": lambda rate: Drop(rate, "b (h 4) w -> b h"),
    "inner axes first": lambda rate: Drop(rate, "b t d -> d b"),
    "k of n": lambda rate: Drop(rate, KofN(over="t")),
    "uneven blocks": lambda rate: Drop(rate, Blocks((2, 3), over="h w", pattern="b c h w -> b h w")),
    "scale in eval": lambda rate: Drop(rate, scale="eval"),
    "gaussian groups": lambda rate: Drop(rate, "b t d -> b d", noise="gaussian"),
}
RANDOM = ["rate", "moments", "independence", "key"]
SEEDS = range(6)
NAN_SURVIVES = {"nonfinite": "torch multiplies by its mask, and 0 * nan is nan"}
IN_MEMORY_ORDER = {"layouts": "torch fills a mask that lies in memory as its input does", **NAN_SURVIVES}
MODULES = {
    "dropout": module_subject(torch.nn.Dropout, "dropout", "b t -> b t", waived=IN_MEMORY_ORDER),
    "channels": module_subject(torch.nn.Dropout2d, "channels", "b c h w -> b c", waived=NAN_SURVIVES),
    "alpha": module_subject(
        torch.nn.AlphaDropout, "alpha", lambda p: Drop(p, "b t -> b t", noise="alpha"), waived=IN_MEMORY_ORDER
    ),
    "our blocks": module_subject(
        lambda p: DropBlock2d(p, 2), "our blocks", lambda p: Drop(p, Blocks(2, "h w", "b c h w -> b c h w"))
    ),
}


def subjects() -> dict[str, Subject]:
    """What the tests of torch's own methods offer for examination, as `SUBJECTS`."""
    found: dict[str, Subject] = {}
    for path in sorted(OWN.glob("*_test.py")):
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found |= {f"{path.stem}: {each.name}": each for each in getattr(module, "SUBJECTS", ())}
    return found


SUBJECTS = subjects()


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_method_that_decides_by_itself_keeps_the_contract(name: str) -> None:
    examine(SUBJECTS[name], key=1).check()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", METHODS)
def test_a_method_keeps_the_contract(name: str, backend: str) -> None:
    examine(of(catalogue()[name], backend), key=1).check()


@pytest.mark.parametrize("make", [numpy_subject, torch_subject])
@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_a_description_keeps_the_contract(name: str, make: Any) -> None:
    examine(make(DESCRIPTIONS[name], name), key=2).check()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", ["split axis", "gaussian groups"])
def test_a_right_method_raises_no_alarm_whatever_the_seed(name: str, seed: int) -> None:
    examine(numpy_subject(DESCRIPTIONS[name], name), key=seed, traits=RANDOM).check()


@pytest.mark.parametrize("name", MODULES)
def test_a_module_that_knows_nothing_of_us_keeps_the_contract(name: str) -> None:
    examine(MODULES[name], key=4).check()


def test_a_stranger_is_examined_with_the_power_that_the_finding_states() -> None:
    rate, *_ = examine(STRANGER, key=6, traits=["rate"]).findings
    powers = [float(power) for power in re.findall(r"([01]\.\d{3}) at", rate.sentence)]
    assert len(powers) == 7
    assert min(powers) >= 0.99


def test_these_runs_are_within_what_the_registry_counts() -> None:
    strangers = 2
    runs = (
        len(SUBJECTS)
        + len(METHODS) * len(BACKENDS)
        + 2 * len(DESCRIPTIONS)
        + 2 * len(SEEDS)
        + len(MODULES)
        + strangers
    )
    tests = [test for test in RUNS if test.startswith("contract.")]
    assert tests
    assert all(runs <= RUNS[test] * 4 // 5 for test in tests)
    checks, seeds = 4, inspect.signature(laws.alarms).parameters["seeds"].default
    assert checks * seeds * len(METHODS) <= RUNS["prove.alarms"]


def test_what_a_subject_waives_is_not_examined_and_says_why() -> None:
    subject = Subject(**{**vars(numpy_subject(Drop)), "waived": {"mean": "equation (3)"}})
    waived = [
        found for found in examine(subject, traits=["mean", "groups"]).findings if found.status == "waived"
    ]
    assert [(found.trait, found.sentence) for found in waived] == [("mean", "equation (3)")]


def test_a_single_check_can_be_waived_and_a_misspelt_one_is_refused() -> None:
    waived = replace(STRANGER, waived={"nonfinite": "it multiplies"})
    assert [found.status for found in examine(waived, traits=["edges"]).findings] == ["passed", "waived"]
    with pytest.raises(DropkitError, match=r"waived .* did you mean 'nonfinite'"):
        examine(replace(STRANGER, waived={"nonfinit": "it multiplies"}))


def test_a_stranger_needs_no_description_of_ours() -> None:
    def build(rate: float, step: int) -> Built:
        def kept(x: Any, key: Any) -> Any:
            fresh = np.random.default_rng() if key is None else np.random.default_rng([*key.words])
            return fresh.random(x.shape) >= rate

        def forward(x: Any, key: Any, mode: str = "train", window: Any = None) -> Any:
            return x if mode == "eval" else np.where(kept(x, key), x, 0) / x.dtype.type(1 - rate or 1)

        return Built(forward, lambda x, grad, key: forward(grad, key))

    stranger = Subject(
        "numpy's generator",
        build,
        lambda rate, shape: Declared(rate, shape, (1, 1), scale=1 / (1 - rate) if rate < 1 else 1.0),
        Shapes(base=(23, 23), long=((66, 4), (4, 66))),
        windows=False,
        schedules=False,
    )
    report = examine(stranger, Key(3))
    report.check()
    assert {found.check for found in report.findings if found.status == "not applicable"} == {
        "planted",
        "law",
        "schedule",
        "twin",
        "window",
        "description",
    }
