"""Checkpoints: where a run that paused, or was cut off, goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dropkit.experiments.packing import pack, unpack
from dropkit.experiments.tensor_file import TornFileError, read_tensors, write_tensors
from dropkit.report.plan import Job

__all__ = ["checkpoint_path", "forget_checkpoint", "load_checkpoint", "save_checkpoint"]

_FORM = "1"


def checkpoint_path(folder: Path, job: Job) -> Path:
    """Where the checkpoint of a job lies: the same place wherever the job pauses.

    >>> from dropkit.report.plan import Arm
    >>> job = Job("b", Arm("none", "none"), 0, until=5, trial="a")
    >>> checkpoint_path(Path("out"), job).as_posix()
    'out/checkpoints/a.safetensors'
    """
    return folder / "checkpoints" / f"{_trial(job)}.safetensors"


def _trial(job: Job) -> str:
    return job.trial or job.id


def save_checkpoint(folder: Path, job: Job, state: dict[str, Any]) -> bool:
    """Keep a nested state; returns whether that worked.

    A checkpoint only saves time. A full disk, or state that cannot be kept without pickling, costs that time
    and nothing else.
    """
    tensors: dict[str, Any] = {}
    try:
        packed = json.dumps(pack(state, tensors))
        facts = {"form": _FORM, "trial": _trial(job), "state": packed}
        write_tensors(checkpoint_path(folder, job), tensors, facts)
    except (OSError, TypeError):
        return False
    return True


def load_checkpoint(folder: Path, job: Job) -> dict[str, Any] | None:
    """The state that was kept for a job; None if there is none, or the file is torn or of another job."""
    try:
        tensors, facts = read_tensors(checkpoint_path(folder, job))
    except TornFileError:
        return None
    if (facts.get("form"), facts.get("trial")) != (_FORM, _trial(job)):
        return None
    state: dict[str, Any] = unpack(json.loads(facts["state"]), tensors)
    return state


def forget_checkpoint(folder: Path, job: Job) -> None:
    """Remove the checkpoint of a job, if there is one: of a run that has ended, or will not go on."""
    checkpoint_path(folder, job).unlink(missing_ok=True)
