"""Promise 12: studies whose processes are killed again and again end as if nothing had happened."""

from __future__ import annotations

import hashlib
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
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import psutil

from dropkit.core.check import DropkitError
from dropkit.experiments import study
from dropkit.experiments.case import MODEL, RECORD
from dropkit.experiments.families import UNREGULARISED
from dropkit.experiments.recipe import Recipe
from dropkit.experiments.store import FILE, Store
from dropkit.report.plan import Arm
from dropkit.report.record import Run
from tools.prove.proof import Measured

__all__ = ["Disturbance", "Tally", "Undisturbed", "kills", "start"]

_ARMS = (UNREGULARISED, *(Arm(f"dropout {rate:g}", "dropout", rate=rate) for rate in (0.1, 0.3, 0.5)))
_FEW_FAMILIES = Recipe(leaves_out=("l1", "l2", "max_norm", "label_smoothing", "r_drop"))
_GIVEN: dict[str, Any] = {"arms": _ARMS, "pairs": 12, "epochs": 8}
_SEARCHED: dict[str, Any] = {"recipe": _FEW_FAMILIES, "pairs": 6, "epochs": 6, "trials": 4}
_PAUSE = 3.0  # seconds from kill to kill, at most
_MOST = 8  # kills of one study, so that kills fall into many, and into their ends
_PATIENCE = 30.0  # seconds
_GAVE_UP = 3  # exit code
_LOG = "finished"
_WORKER = "popen_loky_posix"  # in the command line of a process of a crew


@dataclass
class Tally:
    """What happened, and what must not have: runs lost or doubled, other tables, errors.

    `doubled` counts scores that entered a mean twice, `again` runs trained once more though they were kept.

    `overread` counts openings of the sealed part beyond one for each time a study was started; `gave_up`
    studies that asked to be repeated with fewer workers, as they do where all of them die.
    """

    studies: int = 0
    searched: int = 0
    kills_of_studies: int = 0
    kills_of_workers: int = 0
    kept: int = 0
    openings: int = 0
    lost: int = 0
    doubled: int = 0
    again: int = 0
    others: int = 0
    overread: int = 0
    gave_up: int = 0
    errors: int = 0

    @property
    def kills(self) -> int:
        """All of them."""
        return self.kills_of_studies + self.kills_of_workers

    @property
    def holds(self) -> bool:
        """Whether nothing happened that must not."""
        return not (self.lost or self.doubled or self.again or self.others or self.overread or self.errors)

    def words(self) -> str:
        """The figure."""
        return (
            f"{self.kills} kills -9 at random moments ({self.kills_of_studies} of studies, two at once on a "
            f"folder or one with workers; {self.kills_of_workers} of workers) in {self.studies} studies, "
            f"{self.searched} of them with a search, {self.kept} runs in all: {self.lost} finished runs "
            f"lost, {self.doubled} counted twice in a mean, {self.again} trained again after their end, "
            f"{self.others} tables or kept networks other than the undisturbed ones, {self.errors} errors; "
            f"the sealed part opened {self.openings} times, {self.overread} more than studies were started; "
            f"{self.gave_up} times all workers were killed before any finished a run, and the study was "
            "begun again"
        )


class Undisturbed(NamedTuple):
    """What a study leaves that nobody kills: hashes of table and network, and where its runs stand."""

    table: str
    model: str
    places: frozenset[tuple[str, int, int]]

    @classmethod
    def of(cls, folder: Path) -> Undisturbed:
        """Read it from the folder of a finished study."""
        result = json.loads((folder / RECORD).read_text())
        model = hashlib.sha256((folder / MODEL).read_bytes()).hexdigest()
        return cls(result["table_hash"], model, frozenset(_places(result)))


def kills(count: int = 100, seed: int = 2026) -> Measured:
    """Kill -9 studies that share a folder, and workers of a study, at random moments.

    A process of its own does it: studies are forked from one that has loaded torch and done nothing else.
    """
    call = [sys.executable, "-m", "tools.prove.kills", str(count), str(seed)]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    if done.returncode:
        return Measured(False, f"the measurement failed: {done.stderr.strip()[-300:]}")
    tally = Tally(**json.loads(done.stdout))
    told = f"; {done.stderr.strip()[-900:]}" if tally.errors else ""
    return Measured(tally.holds and tally.kills >= count, tally.words() + told)


def measure(count: int, seed: int) -> Tally:
    """Disturb study after study until enough was killed, every second one of given arms."""
    tally, draw = Tally(), random.Random(seed)
    expected: dict[bool, Undisturbed] = {}
    while tally.kills < count:
        searched = tally.studies % 2 == 0
        if searched not in expected:
            expected[searched] = _undisturbed(searched)
        # Three of four times it is two studies on one folder, else one with two workers.
        workers = 1 + (tally.studies % 8 in (3, 6))
        with tempfile.TemporaryDirectory() as name:
            Disturbance(Path(name), tally, draw, workers, searched=searched).run(count, expected[searched])
    return tally


def _undisturbed(searched: bool) -> Undisturbed:
    with tempfile.TemporaryDirectory() as name:
        start(_conduct, Path(name), 1, searched).join()
        return Undisturbed.of(Path(name))


class Disturbance:
    """One study on a folder, killed until it is finished all the same."""

    def __init__(
        self, folder: Path, tally: Tally, draw: random.Random, workers: int, *, searched: bool
    ) -> None:
        self._folder, self._tally, self._draw, self._workers = folder, tally, draw, workers
        self._searched = searched
        self.started = 0
        self.seen: set[str] = set()

    def run(self, count: int, expected: Undisturbed) -> None:
        """Start, kill and start again until a study ends, and look at what it left."""
        before = self._tally.kills
        sessions = [self._start() for _ in range(3 - self._workers)]
        while all(session.exitcode != 0 for session in sessions):
            self._pause(sessions)
            if self._tally.kills < min(count, before + _MOST):
                self._kill(self._draw.choice(sessions))
            sessions = [self._follow(session) for session in sessions]
        for session in sessions:
            session.join()
            self._note_end(session)
        self.judge(expected)

    def _start(self) -> ForkProcess:
        self.started += 1
        return start(_logged, self._folder, self._workers, self._searched)

    def _note_end(self, session: ForkProcess) -> None:
        self._tally.gave_up += session.exitcode == _GAVE_UP
        self._tally.errors += session.exitcode not in (0, _GAVE_UP, -signal.SIGKILL)

    def _follow(self, session: ForkProcess) -> ForkProcess:
        if session.is_alive() or session.exitcode == 0:
            return session
        self._note_end(session)
        if self._tally.errors > 9:
            raise RuntimeError("studies end with errors")
        return self._start()

    def _pause(self, sessions: list[ForkProcess]) -> None:
        # Half of the time a run is let finish first: a study takes a moment to begin, and workers seconds.
        if self._draw.random() < 0.5:
            until = time.monotonic() + _PATIENCE
            while _kept(self._folder) <= self.seen and time.monotonic() < until and _live(sessions):
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

    def judge(self, expected: Undisturbed) -> None:
        """Count what is missing, double or other than in a study that nobody killed."""
        result, kept = json.loads((self._folder / RECORD).read_text()), _kept(self._folder)
        found, tally = Undisturbed.of(self._folder), self._tally
        tally.studies += 1
        tally.searched += self._searched
        tally.kept += len(kept)
        tally.lost += len(self.seen - kept) + len(expected.places - found.places)
        tally.doubled += _doubled(result)
        tally.again += sum(count - 1 for count in _finished(self._folder).values())
        tally.others += (found.table, found.model) != (expected.table, expected.model)
        tally.openings += result["openings"]
        tally.overread += max(0, result["openings"] - self.started)


def _doubled(result: dict[str, Any]) -> int:
    """Scores that entered the mean of an arm beyond one for each of its pairs, and runs listed twice."""
    scored = Counter(run["arm"] for run in result["runs"] if run["select"] and not run["paused"])
    pairs, places = int(result["plan"]["tests"]["pairs"]), _places(result)
    used = [(int(each["runs"]), min(pairs, scored[each["arm"]["name"]])) for each in result["arms"]]
    return sum(max(0, runs - had) for runs, had in used) + len(places) - len(set(places))


def _finished(folder: Path) -> Counter[str]:
    """How often each run was trained to its end and kept, by its id."""
    log = folder / _LOG
    return Counter(log.read_text().split() if log.exists() else [])


def _logged(folder: Path, workers: int, searched: bool) -> None:
    """A study that writes down every run that it trained and kept."""
    finish = Store.finish

    def finished(store: Store, run_id: str, run: Run) -> Run:
        kept = finish(store, run_id, run)
        if not run.failure:
            with (folder / _LOG).open("a") as file:
                file.write(f"{run_id}\n")
        return kept

    with patch.object(Store, "finish", finished):
        _conduct(folder, workers, searched)


def _places(result: dict[str, Any]) -> list[tuple[str, int, int]]:
    return [(run["arm"], run["pair"], run["paused"]) for run in result["runs"]]


def start(target: Callable[..., None], *arguments: Any) -> ForkProcess:
    """Begin a process that has torch loaded."""
    session = multiprocessing.get_context("fork").Process(target=target, args=arguments)
    session.start()
    return session


def _conduct(folder: Path, workers: int, searched: bool) -> None:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(120, 1, 4, 4))
    y = (x[:, 0, 0, 0] + draw.normal(size=120) > 0).astype(int)
    options = _SEARCHED if searched else _GIVEN
    try:
        study((x, y), workers=workers, out=folder, quiet=True, **options)
    except DropkitError as error:
        sys.exit(_GAVE_UP if error.argument == "workers" else str(error))


def _live(sessions: list[ForkProcess]) -> bool:
    return all(session.is_alive() for session in sessions)


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


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # forking is safe here: no thread was started
    json.dump(asdict(measure(*map(int, sys.argv[1:]))), sys.stdout)
