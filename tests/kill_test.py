"""Studies killed at random moments lose no finished run and end with the table of an undisturbed one."""

import json
import random
import signal
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import pytest
from tools.prove.kills import Disturbance, Tally, Undisturbed, kills
from tools.prove.midway import Account

from dropkit.experiments.case import MODEL, RECORD
from dropkit.experiments.store import FILE


def test_a_few_kills_change_nothing() -> None:
    found = kills(count=3)
    assert found.passed, found.figure


@pytest.mark.parametrize(
    ("runs", "table", "model", "kept", "openings", "expected"),
    [
        (range(48), "right", "right", 48, 1, {}),
        (range(47), "right", "right", 48, 1, {"lost": 1}),
        (range(48), "right", "right", 46, 1, {"lost": 2}),
        ([*range(48), 3], "right", "right", 48, 1, {"doubled": 1}),
        (range(48), "other", "right", 48, 1, {"others": 1}),
        (range(48), "right", "other", 48, 1, {"others": 1}),
        (range(48), "right", "right", 48, 3, {"overread": 1}),
    ],
)
def test_what_a_kill_could_spoil_is_seen(
    tmp_path: Path,
    runs: Iterable[int],
    table: str,
    model: str,
    kept: int,
    openings: int,
    expected: dict[str, int],
) -> None:
    tally = Tally()
    disturbance = Disturbance(tmp_path, tally, random.Random(0), workers=1, searched=True)
    disturbance.seen, disturbance.started = {str(at) for at in range(48)}, 2
    _leave(tmp_path, range(48), "right", "right", openings)
    undisturbed = Undisturbed.of(tmp_path)
    with closing(sqlite3.connect(tmp_path / FILE)) as connection, connection:
        connection.execute("CREATE TABLE runs (id)")
        connection.executemany("INSERT INTO runs VALUES (?)", [(str(at),) for at in range(kept)])
    _leave(tmp_path, runs, table, model, openings)
    disturbance.judge(undisturbed)
    assert tally == Tally(studies=1, searched=1, kept=kept, openings=openings, **expected)


def test_a_run_that_is_counted_twice_is_seen(tmp_path: Path) -> None:
    tally = Tally()
    disturbance = Disturbance(tmp_path, tally, random.Random(0), workers=1, searched=True)
    _leave(tmp_path, range(48), "right", "right", 0)
    undisturbed = Undisturbed.of(tmp_path)
    _leave(tmp_path, range(48), "right", "right", 0, scores=50)
    (tmp_path / "finished").write_text("one\ntwo\none\n")
    disturbance.judge(undisturbed)
    assert (tally.doubled, tally.again, tally.holds) == (2, 1, False)


@pytest.mark.parametrize(
    ("code", "errors", "gave_up"), [(0, 0, 0), (-signal.SIGKILL, 0, 0), (3, 0, 1), (1, 1, 0)]
)
def test_a_session_that_ends_after_the_other_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, errors: int, gave_up: int
) -> None:
    tally = Tally()
    disturbance = Disturbance(tmp_path, tally, random.Random(0), workers=1, searched=True)
    sessions = [_Ended(0), _Ended(code)]
    monkeypatch.setattr(disturbance, "_start", iter(sessions).__next__)
    monkeypatch.setattr(disturbance, "judge", lambda expected: None)
    disturbance.run(0, Undisturbed("", "", frozenset()))
    assert (tally.errors, tally.gave_up) == (errors, gave_up)


class _Ended:
    """A session that is over."""

    def __init__(self, exitcode: int) -> None:
        self.exitcode = exitcode

    def join(self) -> None: ...


def _leave(
    folder: Path, runs: Iterable[int], table: str, model: str, openings: int, scores: int = 46
) -> None:
    places = [{"arm": "none", "pair": at, "paused": 0, "select": {"error": 0.1}} for at in runs]
    record = {
        "table_hash": table,
        "runs": places,
        "openings": openings,
        "plan": {"tests": {"pairs": 48}},
        "arms": [{"arm": {"name": "none"}, "runs": scores}],
    }
    (folder / RECORD).write_text(json.dumps(record))
    (folder / MODEL).write_text(model)


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ([7, 8, 9], {"repeated": 2}),
        ([1, 2, 3, 4, 5, 6, 7, 8, 9], {"repeated": 8, "restarted": 1}),
        ([8, 9], {"repeated": 1, "restarted": 1}),
    ],
)
def test_a_run_that_does_not_go_on_from_its_checkpoint_is_seen(
    after: list[int], expected: dict[str, int]
) -> None:
    account = Account()
    before = [("other", 30), *(("a", epoch) for epoch in range(1, 9))]
    account.note("a", 6, before, [("a", epoch) for epoch in after])
    assert account == Account(kills=1, reached=8, **expected)
    assert account.holds is not bool(account.restarted)
