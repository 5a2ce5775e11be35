"""An SQLite file of our own kind: opened, told from any other, changed in transactions, refused in words."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from dropkit.core.check import DropkitError
from dropkit.report.words import counted

__all__ = ["APPLICATION", "VERSION", "connect", "open_file", "telling", "transaction"]

APPLICATION = int.from_bytes(b"drop")
"""What the header of a file of this kind says as `application_id`."""
VERSION = 2
"""The version of the tables, in the header as `user_version`."""

_PATIENCE = 60.0  # seconds that a lock of another process is waited for
_AGAIN = 0.01  # seconds from try to try
_ELSEWHERE = "name another folder with --out, or move the file away"
_MENDS = {
    "SQLITE_BUSY": "end the program that locks it",
    "SQLITE_CANTOPEN": "let a file be written there",
    "SQLITE_PERM": "let it be written",
    "SQLITE_READONLY": "let it be written",
}


def connect(path: Path) -> sqlite3.Connection:
    """A connection that commits what stands outside a transaction, and reads any bytes as text."""
    connection = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)
    # A damaged record shall fail by its checksum, not by its encoding.
    connection.text_factory = lambda text: text.decode(errors="replace")
    return connection


def open_file(path: Path, tables: Sequence[str]) -> sqlite3.Connection:
    """Open a file, or make it with the tables given, so that what is committed is on the disk.

    Raises:
        DropkitError: the file is of another kind or a newer version, damaged, or cannot be opened.
    """
    with telling(path):
        connection = connect(path)
    try:
        with telling(path, connection):
            with transaction(connection, "DEFERRED"):  # one view of a file that another may be making
                _check_kind(connection, path)
            _write_ahead(connection)
            connection.execute("PRAGMA synchronous = FULL")
            _make_tables(connection, tables)
            _check_pages(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _check_kind(connection: sqlite3.Connection, path: Path) -> None:
    application, version = (
        _number(connection, f"PRAGMA {name}") for name in ("application_id", "user_version")
    )
    is_new = not (application or version or _number(connection, "SELECT count(*) FROM sqlite_master"))
    if application != APPLICATION and not is_new:
        rule = f"must hold a store of dropkit: {path.name} is an SQLite file of another program"
        raise DropkitError("out", rule, str(path), _ELSEWHERE)
    if version > VERSION:
        rule = f"holds a store of version {version}, and this dropkit reads version {VERSION}"
        raise DropkitError("out", rule, str(path), "install a newer dropkit, or " + _ELSEWHERE)


def _write_ahead(connection: sqlite3.Connection) -> None:
    # The change of mode reads before it writes, so SQLite does not wait for a lock that another process has:
    # two that make one file would wait for each other.
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(_AGAIN)
        else:
            return


def _number(connection: sqlite3.Connection, query: str) -> int:
    (value,) = connection.execute(query).fetchone()
    return int(value)


def _make_tables(connection: sqlite3.Connection, tables: Sequence[str]) -> None:
    header = (f"PRAGMA application_id = {APPLICATION}", f"PRAGMA user_version = {VERSION}")
    with transaction(connection):
        # Whoever came second finds the version written; an older file gets the tables that it lacks.
        for statement in () if _number(connection, "PRAGMA user_version") == VERSION else (*tables, *header):
            connection.execute(statement)


def _check_pages(connection: sqlite3.Connection, path: Path) -> None:
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise _damaged(path, found)


@contextmanager
def transaction(connection: sqlite3.Connection, kind: str = "IMMEDIATE") -> Iterator[None]:
    """All or nothing; `IMMEDIATE` has the right to write from the start, `DEFERRED` reads one state."""
    connection.execute(f"BEGIN {kind}")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # SQLite may have rolled back on its own, as it does where the disk is full.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def telling(path: Path, connection: sqlite3.Connection | None = None) -> Iterator[None]:
    """Turn an error of SQLite into one that says what is wrong, what is kept, and what to do."""
    try:
        yield
    except sqlite3.Error as error:
        raise _refusal(path, error, connection) from error
    except UnicodeDecodeError as error:  # what SQLite says of a damaged file may quote it
        raise _damaged(path, "a name is no text") from error


def _refusal(path: Path, error: sqlite3.Error, connection: sqlite3.Connection | None) -> DropkitError:
    if error.sqlite_errorname == "SQLITE_NOTADB":
        rule = f"must hold a store of dropkit: {path.name} is no SQLite file"
        return DropkitError("out", rule, str(path), _ELSEWHERE)
    if error.sqlite_errorname.startswith("SQLITE_CORRUPT"):
        return _damaged(path, str(error))
    mend = _MENDS.get("_".join(error.sqlite_errorname.split("_")[:2]), "make room")
    rule = f"can no longer be written ({error}){_kept(connection, path)}"
    return DropkitError("out", rule, str(path), f"{mend} and repeat the command: it goes on from there")


def _damaged(path: Path, found: Any) -> DropkitError:
    rule = f"must hold an undamaged store: in {path.name} {' '.join(str(found).split())}"
    mend = "put a copy in its place, or move it away to train everything again"
    return DropkitError("out", rule, str(path), mend)


def _kept(connection: sqlite3.Connection | None, path: Path) -> str:
    with suppress(sqlite3.Error):
        if connection:
            finished = _number(connection, "SELECT count(*) FROM runs")
            return f"; {path.name} keeps {counted(finished, 'finished run')}"
    return ""
