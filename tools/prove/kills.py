"""Promise 12: studies whose processes are killed again and again end as if nothing had happened."""

from __future__ import annotations

import json
import multiprocessing
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import warnings
from contextlib import closing
from dataclasses import asdict, dataclass
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from dropkit.core.check import DropkitError
from dropkit.experiments import study
from dropkit.experiments.families import UNREGULARISED
from dropkit.experiments.store import FILE
from dropkit.report.plan import Arm
from tools.prove.proof import Measured

__all__ = ["Disturbance", "Tally", "kills"]

_ARMS = (UNREGULARISED, *(Arm(f"dropout {rate:g}", "dropout", rate=rate) for rate in (0.1, 0.3, 0.5)))
_PAIRS = 12
_RUNS = len(_ARMS) * _PAIRS
_PAUSE = 3.0  # seconds from kill to kill, at most
_PATIENCE = 30.0  # seconds
_GAVE_UP = 3  # exit code
_WORKER = "popen_loky_posix"  # in the command line of a process of a crew


@dataclass
class Tally:
    """What happened, and what must not have: runs lost or doubled, other tables, errors.

    `gave_up` counts studies that asked to be repeated with fewer workers, as they do where all of them die.
    """

    studies: int = 0
    kills_of_studies: int = 0
    kills_of_workers: int = 0
    kept: int = 0
    lost: int = 0
    doubled: int = 0
    others: int = 0
    gave_up: int = 0
    errors: int = 0

    @property
    def kills(self) -> int:
        """All of them."""
        return self.kills_of_studies + self.kills_of_workers

    def words(self) -> str:
        """The figure."""
        return (
            f"{self.kills} kills -9 at random moments ({self.kills_of_studies} of studies, two at once on a "
            f"folder or one with workers; {self.kills_of_workers} of workers) in {self.studies} studies of "
            f"{_RUNS} runs: {self.lost} finished runs lost, {self.doubled} counted twice, {self.others} "
            f"tables other than the undisturbed one, {self.errors} errors; {self.gave_up} times "
            "all workers were killed before any finished a run, and the study was begun again"
        )


def kills(count: int = 100, seed: int = 2026) -> Measured:
    """Kill -9 studies that share a folder, and workers of a study, at random moments.

    A process of its own does it: studies are forked from one that has loaded torch and done nothing else.
    """
    call = [sys.executable, "-m", "tools.prove.kills", str(count), str(seed)]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    if done.returncode:
        return Measured(False, f"the measurement failed: {done.stderr.strip()[-300:]}")
    tally = Tally(**json.loads(done.stdout))
    holds = tally.kills >= count and not (tally.lost or tally.doubled or tally.others or tally.errors)
    return Measured(holds, tally.words())


def measure(count: int, seed: int) -> Tally:
    """Disturb study after study until enough was killed."""
    tally, draw = Tally(), random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        _start(Path(name), 1).join()
        expected = str(_result(Path(name))["table_hash"])
    while tally.kills < count:
        with tempfile.TemporaryDirectory() as name:
            # Three of four times it is two studies on one folder, else one with two workers.
            Disturbance(Path(name), tally, draw, workers=1 + (tally.studies % 4 == 3)).run(count, expected)
    return tally


class Disturbance:
    """One study on a folder, killed until it is finished all the same."""

    def __init__(self, folder: Path, tally: Tally, draw: random.Random, workers: int) -> None:
        self._folder, self._tally, self._draw, self._workers = folder, tally, draw, workers
        self.seen: set[str] = set()

    def run(self, count: int, expected: str) -> None:
        """Start, kill and start again until a study ends, and look at what it left."""
        sessions = [_start(self._folder, self._workers) for _ in range(3 - self._workers)]
        while all(session.exitcode != 0 for session in sessions):
            self._pause()
            if self._tally.kills < count:
                self._kill(self._draw.choice(sessions))
            sessions = [self._follow(session) for session in sessions]
        for session in sessions:
            session.join()
        self.judge(expected)

    def _follow(self, session: ForkProcess) -> ForkProcess:
        if session.is_alive() or session.exitcode == 0:
            return session
        self._tally.gave_up += session.exitcode == _GAVE_UP
        self._tally.errors += session.exitcode not in (_GAVE_UP, -signal.SIGKILL)
        if self._tally.errors > 9:
            raise RuntimeError("studies end with errors")
        return _start(self._folder, self._workers)

    def _pause(self) -> None:
        # Workers take seconds to load torch: half of the time they are let begin before the next kill.
        if self._workers > 1 and self._draw.random() < 0.5:
            until = time.monotonic() + _PATIENCE
            while _kept(self._folder) <= self.seen and time.monotonic() < until:
                time.sleep(0.05)
        time.sleep(self._draw.uniform(0.3, _PAUSE))

    def _kill(self, session: ForkProcess) -> None:
        if not session.is_alive():
            return
        crew = _crew(session)
        if crew and self._draw.random() < 0.8:
            self._draw.choice(crew).kill()
            self._tally.kills_of_workers += 1
        else:
            session.kill()
            session.join()
            self._tally.kills_of_studies += 1
        found = _kept(self._folder)
        self._tally.lost += len(self.seen - found)
        self.seen |= found

    def judge(self, expected: str) -> None:
        """Count what is missing, double or other than `expected`, the hash of the undisturbed table."""
        result, kept = _result(self._folder), _kept(self._folder)
        places = {(run["arm"], run["pair"]) for run in result["runs"]}
        self._tally.studies += 1
        self._tally.kept += len(kept)
        self._tally.lost += len(self.seen - kept) + _RUNS - len(places)
        self._tally.doubled += len(result["runs"]) - len(places)
        self._tally.others += result["table_hash"] != expected


def _start(folder: Path, workers: int) -> ForkProcess:
    session = multiprocessing.get_context("fork").Process(target=_conduct, args=(folder, workers))
    session.start()
    return session


def _conduct(folder: Path, workers: int) -> None:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(120, 1, 4, 4))
    y = (x[:, 0, 0, 0] + draw.normal(size=120) > 0).astype(int)
    try:
        study((x, y), arms=_ARMS, pairs=_PAIRS, epochs=8, workers=workers, out=folder, quiet=True)
    except DropkitError as error:
        sys.exit(_GAVE_UP if error.argument == "workers" else str(error))


def _crew(session: ForkProcess) -> list[psutil.Process]:
    found = []
    for child in psutil.Process(session.pid).children(recursive=True):
        try:
            found += [child] if any(_WORKER in word for word in child.cmdline()) else []
        except psutil.NoSuchProcess:
            continue
    return found


def _kept(folder: Path) -> set[str]:
    if not (folder / FILE).exists():
        return set()
    with closing(sqlite3.connect(folder / FILE, timeout=60)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'runs'").fetchone():
            return set()
        return {run_id for (run_id,) in connection.execute("SELECT id FROM runs")}


def _result(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / "study.json").read_text())
    return record


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # forking is safe here: no thread was started
    json.dump(asdict(measure(*map(int, sys.argv[1:]))), sys.stdout)
