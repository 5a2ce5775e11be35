"""docs/proof.md, written from what was measured."""

from __future__ import annotations

import platform
import re
from importlib.metadata import version
from itertools import groupby
from pathlib import Path

import dropkit
from dropkit.testing.registry import FALSE_ALARM, RUNS, share
from tools.prove.proof import Proof

__all__ = ["PROMISES", "write"]

PROMISES = {
    1: "The generator is the published Philox4x32.",
    2: "The mask stream is random enough, not only the generator.",
    3: "Same key, same mask: shape, stride, type, rate, mode, threads, compiled, batch split.",
    4: "Forward and backward use one mask, checkpointed and compiled too.",
    5: "The rate that is written is the rate that happens, and so are the moments.",
    6: "Neighbours, layers, steps, seeds and ranks with folded keys are independent.",
    7: "The tests do not cry wolf.",
    8: "Eval of an inverted dropout is the identity: the same object.",
    9: "Gradients are right, and half types are within 2 ulp of float32.",
    10: "The stream is stable.",
    11: "The study claims no more often than it says what is not true, and finds what it says it can find.",
    12: "A study that is killed or shares its folder loses no finished run and ends with the same table.",
    13: "With real networks the study finds nothing in noise, and dropout where dropout must win.",
}

_PACKAGES = "numpy", "scipy", "torch"
_VERDICT = {True: "holds", False: "**broken**", None: "not measured"}


def write(proofs: list[Proof], path: Path) -> None:
    """Write the page; promises that were not measured now keep what was found before."""
    before = _sections(path.read_text()) if path.exists() else {}
    now = {promise: _section(promise, list(parts)) for promise, parts in groupby(proofs, key=_promise)}
    sections = before | now
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n\n".join([_head(), *(sections[promise] for promise in sorted(sections))]) + "\n")


def _promise(proof: Proof) -> int:
    return proof.promise


def _sections(text: str) -> dict[int, str]:
    found = re.findall(r"^(## (\d+)\..*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    return {int(promise): section.strip() for section, promise in found}


def _head() -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return f"""# What was measured

Written by `make prove` (`python -m tools.prove 3` measures promise 3 alone again). Nobody edits this page.
Each line says when it was measured and how long that took; what could not run says so.

- dropkit {dropkit.__version__}, address version {dropkit.ADDRESS_VERSION}
- Python {platform.python_version()}, {packages}
- {_processor()}, {platform.system()}; seconds are of a machine that may have had other work too
- All {sum(RUNS.values())} runs of registered statistical tests share one false-alarm rate of {FALSE_ALARM:g}:
  a single run raises an alarm below p = {share("prove.rate"):.2g}"""


def _section(promise: int, proofs: list[Proof]) -> str:
    rows = [
        f"| {_cell(proof.figure)} | {_VERDICT[proof.passed]} | {proof.date} | {proof.seconds:.0f} s |"
        for proof in proofs
    ]
    table = ["| figure | verdict | measured | took |", "|---|---|---|---|", *rows]
    return "\n".join([f"## {promise}. {PROMISES[promise]}", "", *table])


def _cell(text: str) -> str:
    return text.strip().replace("|", "\\|").replace("\n", " ")


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(models)} cores of {models[0]}" if models else platform.machine()
