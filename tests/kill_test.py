"""Studies killed at random moments lose no finished run and end with the table of an undisturbed one."""

import json
import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tools.prove.kills import Disturbance, Tally, kills

from dropkit.experiments.store import FILE


def test_a_few_kills_change_nothing() -> None:
    found = kills(count=4)
    assert found.passed, found.figure


@pytest.mark.parametrize(
    ("runs", "table", "kept", "expected"),
    [
        (range(48), "right", 48, {}),
        (range(47), "right", 48, {"lost": 1}),
        (range(48), "right", 46, {"lost": 2}),
        ([*range(48), 3], "right", 48, {"doubled": 1}),
        (range(48), "other", 48, {"others": 1}),
    ],
)
def test_what_a_kill_could_spoil_is_seen(
    tmp_path: Path, runs: list[int], table: str, kept: int, expected: dict[str, int]
) -> None:
    tally = Tally()
    disturbance = Disturbance(tmp_path, tally, random.Random(0), workers=1)
    disturbance.seen = {str(at) for at in range(48)}
    with closing(sqlite3.connect(tmp_path / FILE)) as connection, connection:
        connection.execute("CREATE TABLE runs (id)")
        connection.executemany("INSERT INTO runs VALUES (?)", [(str(at),) for at in range(kept)])
    record = {"table_hash": table, "runs": [{"arm": "none", "pair": at} for at in runs]}
    (tmp_path / "study.json").write_text(json.dumps(record))
    disturbance.judge("right")
    assert tally == Tally(studies=1, kept=kept, **expected)
