"""Finished runs on disk: one committed, checksummed record each, in a file that several studies may share."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import tempfile
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from dropkit.core.check import DropkitError
from dropkit.experiments.owner import Owner
from dropkit.experiments.sqlite_file import connect, open_file, telling, transaction
from dropkit.report.record import Run

__all__ = ["FILE", "LEASE", "Claim", "Losses", "Store", "prepare_folder"]

Losses = npt.NDArray[np.float64]

FILE = "runs.sqlite"
LEASE = 60.0
"""Seconds for which a run belongs to who takes it; renewed while its owner lives."""

_TABLES = (
    "CREATE TABLE IF NOT EXISTS runs (id TEXT PRIMARY KEY, record TEXT NOT NULL, checksum TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS failures (number INTEGER PRIMARY KEY AUTOINCREMENT,"
    " id TEXT NOT NULL, record TEXT NOT NULL, checksum TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS leases (id TEXT PRIMARY KEY, owner TEXT NOT NULL, expires REAL NOT NULL)",
    "CREATE TABLE IF NOT EXISTS plans (number INTEGER PRIMARY KEY AUTOINCREMENT, question TEXT NOT NULL,"
    " options TEXT NOT NULL, fingerprint TEXT NOT NULL, record TEXT NOT NULL, checksum TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS openings (number INTEGER PRIMARY KEY AUTOINCREMENT,"
    " fingerprint TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS sealed (id TEXT PRIMARY KEY, losses BLOB NOT NULL, checksum TEXT NOT NULL)",
)


def prepare_folder(out: str | Path) -> Path:
    """Make the output folder and prove that files can be written there, before any work starts.

    Raises:
        DropkitError: it cannot be made or written.
    """
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"dropkit")
        for name in ("study.json", "report.html"):
            _check_file(folder / name)
    except (OSError, ValueError) as error:  # a NUL in its name
        rule = f"must be a folder that can be written ({getattr(error, 'strerror', error)})"
        raise DropkitError("out", rule, str(out), "name another with --out") from error
    return folder


def _check_file(path: Path) -> None:
    if path.exists():
        path.open("a").close()


class Claim(NamedTuple):
    """What became of runs that a study asked for: `ours` to train, `settled` meanwhile by someone else."""

    ours: tuple[str, ...]
    settled: dict[str, Run]


class Store:
    """The file runs.sqlite of a folder; inside `with` its leases are renewed, afterwards they are given back.

    Every change is one transaction, forced to the disk before it counts (WAL, synchronous=FULL): a kill or a
    full disk leaves the file as it was before the change or after it. A run that is being trained has a
    lease, which ends by itself, and at once where its owner is found dead: nothing stays marked as running.
    Studies that share the file must be on one machine, since a WAL is shared through its memory.

    Args:
        folder: where the file lies, or is made.

    Raises:
        DropkitError: the file is no store, one of a newer version, damaged, or cannot be opened or written.
    """

    def __init__(self, folder: Path) -> None:
        self.path, self.damaged = folder / FILE, 0
        self._owner = str(Owner.new())
        self._connection = open_file(self.path, _TABLES)
        self._since = self._last_failure()
        self._ended = threading.Event()
        self._renewal = threading.Thread(target=self._renew_until_ended, daemon=True)

    def __enter__(self) -> Self:
        self._renewal.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._renewal.join()
        # What hinders this was told by what ended the study; a lease that stays ends by itself.
        with closing(self._connection), suppress(sqlite3.Error):
            self._connection.execute("DELETE FROM leases WHERE owner = ?", (self._owner,))

    def finished(self, ids: Iterable[str]) -> dict[str, Run]:
        """The finished runs among those asked for.

        A record whose checksum fails is no result: it is thrown out, counted in `damaged`, and its run is
        trained again.
        """
        with self._change():
            found = {run_id: self._finished(run_id) for run_id in ids}
        return {run_id: run for run_id, run in found.items() if run}

    def finished_of(self, fingerprint: str) -> int:
        """How many finished runs were trained for a plan; damaged records of any plan are thrown out."""
        with self._change():
            ids = [row[0] for row in self._connection.execute("SELECT id FROM runs").fetchall()]
            found = [self._finished(run_id) for run_id in ids]
        return sum(run is not None and run.plan == fingerprint for run in found)

    def claim(self, ids: Iterable[str], count: int) -> Claim:
        """Take leases on the first `count` runs that are neither settled nor held by someone who lives.

        Runs that others finished, or failed at since this store was opened, are handed over on the way.
        """
        with self._change():
            held, ours, settled = self._held(), list[str](), dict[str, Run]()
            for run_id in ids:
                if len(ours) == count:
                    break
                if run := self._finished(run_id) or self._failed(run_id):
                    settled[run_id] = run
                elif run_id not in held:
                    ours.append(run_id)
            leases = [(run_id, self._owner, time.time() + LEASE) for run_id in ours]
            self._connection.executemany("INSERT OR REPLACE INTO leases VALUES (?, ?, ?)", leases)
        return Claim(tuple(ours), settled)

    def finish(self, run_id: str, run: Run) -> Run:
        """Keep a run, give its lease back, and return what is kept: of two with one id the first.

        A failed run is noted; it does not stand in the way of another try by a later study.
        """
        record = json.dumps(asdict(run), allow_nan=False)
        row = (run_id, record, _checksum(run_id, record))
        with self._change():
            if run.failure:
                self._connection.execute("INSERT INTO failures (id, record, checksum) VALUES (?, ?, ?)", row)
            else:
                self._connection.execute("INSERT OR IGNORE INTO runs VALUES (?, ?, ?)", row)
            lease = (run_id, self._owner)
            self._connection.execute("DELETE FROM leases WHERE id = ? AND owner = ?", lease)
            kept = self._finished(run_id)
        return kept or run

    def forget(self, ids: Collection[str]) -> None:
        """Throw finished runs out, so that they are trained again."""
        rows = [(run_id,) for run_id in ids]
        with self._change():
            self._connection.executemany("DELETE FROM runs WHERE id = ?", rows)
            self._connection.executemany("DELETE FROM sealed WHERE id = ?", rows)

    def register(self, question: str, options: str, fingerprint: str, record: str) -> None:
        """Write a plan down before anything is spent on it; the same one a second time changes nothing.

        Args:
            question: hash of the data and the model that it asks about.
            options: what the user set.
            fingerprint: of the plan.
            record: the plan itself.
        """
        row = (question, options, fingerprint, record, _checksum(fingerprint, record))
        with self._change():
            known = "SELECT 1 FROM plans WHERE fingerprint = ?"
            if self._connection.execute(known, (fingerprint,)).fetchone() is None:
                insert = "INSERT INTO plans (question, options, fingerprint, record, checksum)"
                self._connection.execute(f"{insert} VALUES (?, ?, ?, ?, ?)", row)

    def registered(self, question: str, options: str | None = None) -> str | None:
        """The first plan that was written down for a question, or for one with the very same options."""
        same, values = ("", ()) if options is None else (" AND options = ?", (options,))
        query = f"SELECT fingerprint, record, checksum FROM plans WHERE question = ?{same} ORDER BY number"
        with self._change():
            rows = self._connection.execute(query, (question, *values))
            sound = (record for name, record, checksum in rows if checksum == _checksum(name, record))
            return next(sound, None)

    def last_options(self) -> str | None:
        """The options of the plan that was written down last."""
        with self._change():
            row = self._connection.execute("SELECT options FROM plans ORDER BY number DESC").fetchone()
        return None if row is None else str(row[0])

    def losses(self, ids: Iterable[str]) -> dict[str, Losses]:
        """What the sealed rows gave, one row of numbers for each of error, NLL and confidence, by run."""
        with self._change():
            found = {run_id: self._losses(run_id) for run_id in ids}
        return {run_id: losses for run_id, losses in found.items() if losses is not None}

    def _losses(self, run_id: str) -> Losses | None:
        query = "SELECT losses, checksum FROM sealed WHERE id = ?"
        row = self._connection.execute(query, (run_id,)).fetchone()
        if row is None or row[1] != _checksum(run_id, row[0].hex()):
            return None
        return np.frombuffer(row[0], dtype="<f8").reshape(3, -1)

    def keep_losses(self, losses: Mapping[str, Losses]) -> None:
        """Keep what one opening of the sealed part gave."""
        blobs = {run_id: np.ascontiguousarray(each, dtype="<f8").tobytes() for run_id, each in losses.items()}
        rows = [(run_id, blob, _checksum(run_id, blob.hex())) for run_id, blob in blobs.items()]
        with self._change():
            self._connection.executemany("INSERT OR REPLACE INTO sealed VALUES (?, ?, ?)", rows)

    def note_opening(self, fingerprint: str) -> None:
        """Count an opening of the sealed part, before it is read."""
        with self._change():
            self._connection.execute("INSERT INTO openings (fingerprint) VALUES (?)", (fingerprint,))

    def openings(self) -> int:
        """How often the sealed part was opened."""
        with self._change():
            (count,) = self._connection.execute("SELECT count(*) FROM openings").fetchone()
        return int(count)

    @contextmanager
    def _change(self) -> Iterator[None]:
        with telling(self.path, self._connection), transaction(self._connection):
            yield

    def _finished(self, run_id: str) -> Run | None:
        query = "SELECT record, checksum FROM runs WHERE id = ?"
        row = self._connection.execute(query, (run_id,)).fetchone()
        run = _read(run_id, row)
        if row and not run:
            self._connection.execute("DELETE FROM runs WHERE id = ?", (run_id,))
            self.damaged += 1
        return run

    def _failed(self, run_id: str) -> Run | None:
        query = "SELECT record, checksum FROM failures WHERE id = ? AND number > ? ORDER BY number DESC"
        return _read(run_id, self._connection.execute(query, (run_id, self._since)).fetchone())

    def _last_failure(self) -> int:
        with telling(self.path, self._connection):
            (last,) = self._connection.execute("SELECT max(number) FROM failures").fetchone()
        return last or 0

    def _held(self) -> set[str]:
        query = "SELECT id, owner FROM leases WHERE expires > ?"
        return {run_id for run_id, owner in self._connection.execute(query, (time.time(),)) if _lives(owner)}

    def _renew_until_ended(self) -> None:
        while not self._ended.wait(LEASE / 4):
            # What hinders this hinders the next record too, which tells it.
            with suppress(sqlite3.Error), closing(connect(self.path)) as connection:
                renewed = (time.time() + LEASE, self._owner)
                connection.execute("UPDATE leases SET expires = ? WHERE owner = ?", renewed)


def _read(run_id: str, row: tuple[Any, Any] | None) -> Run | None:
    if row is None or row[1] != _checksum(run_id, row[0]):
        return None
    return Run.from_dict(json.loads(row[0]))


def _checksum(run_id: str, record: str) -> str:
    return hashlib.sha256(f"{run_id} {record}".encode()).hexdigest()


def _lives(owner: str) -> bool:
    try:
        return not Owner.parse(owner).is_dead()
    except ValueError:  # damaged on the disk
        return False
