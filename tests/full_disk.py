"""Changes a store while the disk is full from the n-th write on, for every n, and says as JSON what it finds.

Run with the library built from full_disk.c preloaded. Each change is tried with a disk that refuses, and once
more with a process that is killed at that write.
"""

from __future__ import annotations

import ctypes
import itertools
import json
import os
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from dropkit.core.check import DropkitError
from dropkit.experiments.store import FILE, Store
from dropkit.report.messages import RAISED, Note
from dropkit.report.record import Run, Scores

RUN = Run("plan", "none", 0, 0.5, stop=Scores(0.25, 1.5), select=Scores(0.25, 1.5))
LONG = Run("plan", "none", 0, 0.5, failure=Note(RAISED, {"text": "x" * 30_000}))
Change = Callable[[Store], object]
State = list[list[tuple[object, ...]]]


def finish_and_move(store: Store) -> None:
    """With a checkpoint at once, which a study meets only every thousand pages."""
    store._connection.execute("PRAGMA wal_autocheckpoint = 1")
    store.finish("c", RUN)


def leave(store: Store) -> None:
    """Give the leases back and move everything into one file."""
    store.__exit__()


CHANGES: dict[str, Change] = {
    "claim": lambda store: store.claim("defg", 4),
    "finish": lambda store: store.finish("c", RUN),
    "finish and move": finish_and_move,
    "note a long failure": lambda store: store.finish("c", LONG),
    "forget": lambda store: store.forget("ab"),
}

library = ctypes.CDLL(None)


def state(folder: Path) -> State:
    """What stands in the tables."""
    with closing(sqlite3.connect(folder / FILE)) as connection:
        tables = [connection.execute(f"SELECT * FROM {name}") for name in ("runs", "failures", "leases")]
        # Owner and time of a lease differ from try to try.
        return [[row[:1] if name == 2 else row for row in table] for name, table in enumerate(tables)]


def prepared(folder: Path) -> Store:
    store = Store(folder)
    store._renewal.start()
    for run_id in "ab":
        store.finish(run_id, RUN)
    store.claim("c", 1)
    return store


def changed(change: Change) -> tuple[State, State]:
    """The states before and after, on a disk with room."""
    with tempfile.TemporaryDirectory() as name:
        store = prepared(Path(name))
        before = state(Path(name))
        change(store)
        return before, state(Path(name))


def refuse(change: Change, writes: int) -> tuple[str, State, State, bool]:
    """The error, the states after it and after another try with room, and whether the disk was full."""
    with tempfile.TemporaryDirectory() as name:
        store = prepared(Path(name))
        library.disk_holds(writes, 0)
        error = tried(lambda: change(store))
        was_full = bool(library.disk_refused())
        library.disk_holds(-1, 0)
        found = state(Path(name))
        if error:
            change(store)
        return error, found, state(Path(name)), was_full


def tried(change: Callable[[], object]) -> str:
    try:
        change()
    except DropkitError as error:
        return str(error)
    return ""


def kill(change: Change, writes: int) -> tuple[bool, State]:
    """Whether the process was killed, and the state that it left."""
    with tempfile.TemporaryDirectory() as name:
        child = os.fork()
        if not child:
            store = prepared(Path(name))
            library.disk_holds(writes, 1)
            change(store)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        with closing(Store(Path(name))._connection):
            return os.WIFSIGNALED(status), state(Path(name))


def every_refusal(change: Change) -> Iterator[dict[str, object]]:
    before, after = changed(change)
    for writes in itertools.count():
        error, found, again, was_full = refuse(change, writes)
        whole = found in (before, after) and (bool(error) or found == after) and again == after
        yield {"error": error, "whole": whole}
        if not was_full:
            return


def every_leaving() -> Iterator[dict[str, object]]:
    """Leaving says nothing of a lease that it could not give back: it ends by itself."""
    before, after = changed(leave)
    for writes in itertools.count():
        error, found, _, was_full = refuse(leave, writes)
        yield {"error": error, "whole": found in (before, after) and not error}
        if not was_full:
            return


def every_kill(change: Change) -> Iterator[dict[str, object]]:
    before, after = changed(change)
    for writes in itertools.count():
        killed, found = kill(change, writes)
        yield {"error": "", "whole": found in (before, after) if killed else found == after}
        if not killed:
            return


def every_making() -> Iterator[dict[str, object]]:
    for writes in itertools.count():
        with tempfile.TemporaryDirectory() as name:
            library.disk_holds(writes, 0)
            error = tried(lambda: Store(Path(name)).finished(()))
            was_full = bool(library.disk_refused())
            library.disk_holds(-1, 0)
            with closing(Store(Path(name))._connection):
                yield {"error": error, "whole": state(Path(name)) == [[], [], []]}
        if not was_full:
            return


found = {f"{name}, refused": list(every_refusal(change)) for name, change in CHANGES.items()}
found |= {
    f"{name}, killed": list(every_kill(change)) for name, change in (CHANGES | {"leave": leave}).items()
}
found |= {"leave, refused": list(every_leaving()), "make, refused": list(every_making())}
json.dump(found, sys.stdout)
