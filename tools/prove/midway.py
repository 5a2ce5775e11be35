"""Promise 12: a run that is killed half way goes on from its checkpoint, to the same bits."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from dropkit.experiments import study
from dropkit.experiments import train as training
from dropkit.experiments.checkpoint import checkpoint_path, load_checkpoint
from dropkit.experiments.course import Course
from dropkit.experiments.families import UNREGULARISED
from dropkit.report.plan import Arm, Job
from tools.prove.kills import Undisturbed, start
from tools.prove.proof import Measured

__all__ = ["Account", "midway"]

_ARMS = UNREGULARISED, Arm("dropout", "dropout", rate=0.5)
_PAIRS, _EPOCHS = 6, 60
_PATIENCE = 60.0  # seconds
_LOOK = 0.002  # seconds
_EPOCH = 0.01  # seconds that an epoch takes at least, so that a kill falls into a run

Line = tuple[str, int]
"""An epoch that was trained: the id of its run, and its number."""


@dataclass
class Account:
    """What became of runs that were killed: how many, where they stood, what was trained again."""

    kills: int = 0
    reached: int = 0
    repeated: int = 0
    restarted: int = 0
    others: int = 0

    @property
    def holds(self) -> bool:
        """Whether every run went on from its checkpoint, and all ended as if nothing had happened."""
        return self.kills > 0 and not (self.restarted or self.others)

    def words(self) -> str:
        """The figure."""
        return (
            f"{self.kills} kills -9 in the middle of a run that had left a checkpoint, {self.reached} epochs "
            f"after their beginnings in all: {self.restarted} runs began anew, {self.repeated} epochs were "
            f"trained twice; {self.others} tables or kept networks other than the undisturbed ones. Measured "
            f"with one process, runs of {_EPOCHS} epochs of {_EPOCH:g} s or more, and a checkpoint at every "
            f"look at the stop part (CHECKPOINT_SECONDS = 0), where a study leaves one every "
            f"{training.CHECKPOINT_SECONDS:g} s"
        )

    def note(self, trial: str, saved: int, before: list[Line], after: list[Line]) -> None:
        """Add one kill: the run, the epoch of its checkpoint, all epochs trained before and afterwards."""
        done = max((epoch for each, epoch in before if each == trial), default=saved)
        again = [epoch for each, epoch in after if each == trial]
        self.kills += 1
        self.reached += done
        self.restarted += bool(again) and again[0] != saved + 1
        self.repeated += sum(epoch <= done for epoch in again)


def midway(count: int = 20, seed: int = 2026) -> Measured:
    """Kill -9 a study in the middle of its runs, each time after a checkpoint, and let it go on."""
    call = [sys.executable, "-m", "tools.prove.midway", str(count), str(seed)]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    if done.returncode:
        return Measured(False, f"the measurement failed: {done.stderr.strip()[-300:]}")
    account = Account(**json.loads(done.stdout))
    return Measured(account.holds and account.kills >= count, account.words())


def measure(count: int, seed: int) -> Account:
    """Disturb study after study until enough was killed."""
    account, draw = Account(), random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        start(_conduct, Path(name)).join()
        expected = Undisturbed.of(Path(name))
    while account.kills < count:
        with tempfile.TemporaryDirectory() as name:
            _disturb(Path(name), account, draw, count)
            account.others += Undisturbed.of(Path(name)) != expected
    return account


def _disturb(folder: Path, account: Account, draw: random.Random, count: int) -> None:
    """Start, kill and start again until the study ends, once in each run that it can."""
    killed: dict[str, tuple[int, list[Line]]] = {}
    session = start(_conduct, folder)
    while account.kills + len(killed) < count and _reaches_another(session, folder, killed):
        time.sleep(draw.uniform(0, _EPOCHS * _EPOCH))
        session.kill()
        session.join()
        killed |= {trial: (saved, _trained(folder)) for trial, saved in _saved(folder) if trial not in killed}
        session = start(_conduct, folder)
    session.join()
    lines = _trained(folder)
    for trial, (saved, before) in killed.items():
        account.note(trial, saved, before, lines[len(before) :])


def _reaches_another(session: ForkProcess, folder: Path, killed: Any) -> bool:
    """Wait for the checkpoint of a run that was not killed yet; False where the study ends first."""
    until = time.monotonic() + _PATIENCE
    while session.is_alive() and time.monotonic() < until:
        if any(path.stem not in killed for path in _checkpoints(folder)):
            return True
        time.sleep(_LOOK)
    return False


def _checkpoints(folder: Path) -> list[Path]:
    return list(checkpoint_path(folder, Job("*", UNREGULARISED, 0)).parent.glob("*.safetensors"))


def _saved(folder: Path) -> list[tuple[str, int]]:
    """The runs that left a checkpoint, with its epoch."""
    found = []
    for path in _checkpoints(folder):
        state = load_checkpoint(folder, Job(path.stem, UNREGULARISED, 0))
        found += [] if state is None else [(path.stem, int(state["course"]["counts"][0]))]
    return found


def _trained(folder: Path) -> list[Line]:
    log = folder / "epochs"
    lines = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
    return [(trial, int(epoch)) for trial, epoch in lines]


def _conduct(folder: Path) -> None:
    """A study that leaves a checkpoint at every check and writes down every epoch."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(120, 4))
    y = (x[:, 0] + draw.normal(size=120) > 0).astype(int)
    advance = _logging(Course.advance, folder / "epochs")
    with patch.object(training, "CHECKPOINT_SECONDS", 0.0), patch.object(Course, "advance", advance):
        study((x, y), arms=_ARMS, pairs=_PAIRS, epochs=_EPOCHS, workers=1, out=folder, quiet=True)


def _logging(advance: Callable[[Course], bool], log: Path) -> Callable[[Course], bool]:
    def logged(course: Course) -> bool:
        checked = advance(course)
        if course.task.folder is not None:  # a run, and not a look at how long one takes
            with log.open("a") as file:
                file.write(f"{course.task.job.trial} {course.epoch}\n")
            time.sleep(_EPOCH)
        return checked

    return logged


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # forking is safe here: no thread was started
    json.dump(asdict(measure(*map(int, sys.argv[1:]))), sys.stdout)
