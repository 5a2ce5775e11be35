"""Measure the promises and write docs/proof.md: `python -m tools.prove [NUMBER ...]`, by default all.

A promise can be measured again alone: the others keep what the page says of them.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from tools.prove import battery, cells, generators, kills, laws, layers, midway, real_studies, selftest
from tools.prove.page import write
from tools.prove.problems import PLANTED
from tools.prove.proof import Measured, Proof, run

FOLDER = Path("build/prove")
PAGE = Path("docs/proof.md")
Part = tuple[int, str, Callable[..., Measured], tuple[Any, ...]]


def parts() -> list[Part]:
    """Return all that is measured: promise, name, function and arguments."""
    return [
        (1, "known answers", generators.known_answers, ()),
        (1, "native", generators.native, ()),
        *((1, name, generators.framework, (name, FOLDER)) for name in generators.FRAMEWORKS),
        (2, "dieharder", battery.dieharder, ()),
        (3, "one mask", cells.one_mask, ()),
        (3, "compiled", cells.compiled, ()),
        (3, "GPU", cells.cuda, ()),
        (4, "forward and backward", cells.forward_backward, ()),
        *((5, method.name, laws.law, (method,)) for method in laws.methods()),
        *((6, f"pairs at rate {rate}", laws.independence, (rate,)) for rate in (0.5, 0.1)),
        (6, "no stretch twice", laws.repeats, ()),
        (7, "false alarms", laws.alarms, ()),
        (8, "eval identity", layers.eval_identity, ()),
        (9, "gradients", layers.gradients, ()),
        (9, "half types", layers.half_types, ()),
        (10, "golden values", layers.golden, ()),
        (10, "address version", layers.metadata, ()),
        *(
            (11, f"{pairs:02} pairs, overlap {overlap:.2f}", selftest.design, (pairs, overlap))
            for pairs, overlap in selftest.DESIGNS
        ),
        (11, "other correlations", selftest.other_correlations, ()),
        (11, "other tails", selftest.other_tails, ()),
        *(
            (11, f"looks, overlap {overlap:.2f}", selftest.looks, (overlap,))
            for overlap in (0.0, selftest.SHARED)
        ),
        (11, "rule", selftest.gate, ()),
        (12, "kills", kills.kills, ()),
        (12, "kills in a run", midway.midway, ()),
        (13, "pure noise", real_studies.pure_noise, ()),
        *((13, name, real_studies.planted, (name,)) for name in PLANTED),
    ]


def main() -> int:
    """Measure, write the page, and return 1 where a promise does not hold."""
    reader = argparse.ArgumentParser(
        prog="python -m tools.prove", description=(__doc__ or "").splitlines()[0]
    )
    reader.add_argument("promise", nargs="*", type=int, help="which promises to measure, by default all")
    wanted = set(reader.parse_args().promise)
    # Dynamo is loud about lines of its own; what it says is no part of a proof.
    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    measured = _measure([part for part in parts() if not wanted or part[0] in wanted])
    return int(any(proof.passed is False for proof in measured))


def _measure(chosen: list[Part]) -> list[Proof]:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    measured: list[Proof] = []
    with Progress(*columns) as progress:
        task = progress.add_task("", total=len(chosen))
        for _, group in groupby(chosen, key=lambda part: part[0]):
            found = [_one(part, progress, task) for part in group]
            write(found, PAGE)
            measured += found
    return measured


def _one(part: Part, progress: Progress, task: TaskID) -> Proof:
    promise, name, measure, arguments = part
    progress.update(task, description=f"promise {promise}: {name}")
    proof = run(promise, name, measure, *arguments)
    progress.console.print(f"{promise:2} {_VERDICT[proof.passed]}{proof.figure} ({proof.seconds:.0f} s)")
    progress.advance(task)
    return proof


_VERDICT = {True: "holds: ", False: "BROKEN: ", None: ""}

if __name__ == "__main__":
    sys.exit(main())
