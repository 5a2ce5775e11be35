import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dropkit.core.check import DropkitError
from dropkit.experiments import sqlite_file
from dropkit.experiments import store as module
from dropkit.experiments.owner import Owner
from dropkit.experiments.sqlite_file import APPLICATION, VERSION
from dropkit.experiments.store import FILE, Claim, Store, prepare_folder
from dropkit.report.messages import Note
from dropkit.report.record import Point, Run, Scores

SCORES = Scores(0.25, 1.5)
CURVE = (Point(1, SCORES, SCORES), Point(2, SCORES, SCORES))
RUN = Run("plan", "none", 0, 0.5, epochs=2, steps=8, stop=SCORES, select=SCORES, curve=CURVE)
OTHER = replace(RUN, pair=1)
FAILED = Run("plan", "none", 2, 0.1, failure=Note("failure.score"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path) as opened:
        yield opened


def ask(path: Path, query: str, *values: object) -> list[tuple[object, ...]]:
    """What an SQLite shell says of the file."""
    with closing(sqlite3.connect(path / FILE if path.is_dir() else path)) as connection, connection:
        return connection.execute(query, values).fetchall()


def test_runs_come_back_as_they_were(store: Store, tmp_path: Path) -> None:
    store.finish("a", RUN)
    store.finish("b", OTHER)
    with Store(tmp_path) as again:
        assert again.finished(["a", "b", "c"]) == {"a": RUN, "b": OTHER}


def test_of_two_runs_with_one_id_the_first_stays(store: Store, tmp_path: Path) -> None:
    assert store.finish("a", RUN) == RUN
    assert store.finish("a", OTHER) == RUN
    assert ask(tmp_path, "SELECT count(*) FROM runs") == [(1,)]


def test_a_failed_run_is_noted_and_stands_in_nobodys_way(store: Store, tmp_path: Path) -> None:
    assert store.finish("a", FAILED) == FAILED
    assert store.finished(["a"]) == {}
    assert ask(tmp_path, "SELECT id FROM failures") == [("a",)]
    with Store(tmp_path) as later:
        assert later.claim(["a"], 1).ours == ("a",)
    assert store.finish("a", RUN) == RUN
    assert store.finish("a", FAILED) == RUN


def test_the_file_says_what_it_is_and_writes_through(store: Store, tmp_path: Path) -> None:
    store.finish("a", RUN)
    assert ask(tmp_path, "PRAGMA application_id") == [(APPLICATION,)]
    assert ask(tmp_path, "PRAGMA user_version") == [(VERSION,)]
    assert ask(tmp_path, "PRAGMA journal_mode") == [("wal",)]
    assert store._connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_forgotten_runs_are_gone(store: Store) -> None:
    store.finish("a", RUN)
    store.finish("b", RUN)
    store.forget(["a"])
    assert list(store.finished(["a", "b"])) == ["b"]


def test_a_file_that_another_study_is_making_is_waited_for(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / FILE, isolation_level=None, check_same_thread=False)) as maker:
        maker.execute("BEGIN IMMEDIATE")
        threading.Timer(0.3, maker.execute, ["COMMIT"]).start()
        with Store(tmp_path) as store:
            assert not maker.in_transaction
            assert store.finished("a") == {}


def test_one_that_is_never_ready_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_file, "_PATIENCE", 0.1)
    with closing(sqlite3.connect(tmp_path / FILE, isolation_level=None)) as maker:
        maker.execute("BEGIN IMMEDIATE")
        with pytest.raises(DropkitError, match=r"database is locked.*end the program that locks it"):
            Store(tmp_path)


# --- leases


def test_two_studies_share_the_work_in_order(store: Store, tmp_path: Path) -> None:
    with Store(tmp_path) as other:
        assert store.claim("abcd", 2) == Claim(("a", "b"), {})
        assert other.claim("abcd", 3) == Claim(("c", "d"), {})
        store.finish("a", RUN)
        other.finish("c", FAILED)
        assert other.claim("ab", 1) == Claim((), {"a": RUN})
        assert store.claim("cd", 1) == Claim((), {"c": FAILED})


def test_a_study_does_not_take_what_it_holds(store: Store) -> None:
    assert store.claim("a", 1).ours == ("a",)
    assert store.claim("a", 1).ours == ()


def test_leases_are_given_back_at_the_end(store: Store, tmp_path: Path) -> None:
    with Store(tmp_path) as other:
        other.claim("ab", 2)
    assert store.claim("ab", 2).ours == ("a", "b")


def hold(path: Path, owner: Owner, seconds: float) -> None:
    ask(path, "INSERT INTO leases VALUES ('a', ?, ?)", str(owner), time.time() + seconds)


DEAD = Owner.new()._replace(started=1.0)
AWAY = Owner.new()._replace(host="another")


@pytest.mark.parametrize(
    ("owner", "seconds", "taken"),
    [(DEAD, 50, True), (DEAD, -1, True), (AWAY, 50, False), (AWAY, -1, True), (Owner.new(), 50, False)],
)
def test_a_lease_ends_with_its_owner_or_its_time(
    store: Store, tmp_path: Path, owner: Owner, seconds: float, taken: bool
) -> None:
    hold(tmp_path, owner, seconds)
    assert bool(store.claim("a", 1).ours) == taken


def test_leases_are_renewed_while_a_study_lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEASE", 0.8)
    with Store(tmp_path) as store:
        store.claim("a", 1)
        time.sleep(2)
        assert not Store(tmp_path).claim("a", 1).ours


def test_many_may_make_one_file_at_once(tmp_path: Path) -> None:
    def make(_: int) -> None:
        with Store(tmp_path) as store:
            store.finish("a", RUN)

    with ThreadPoolExecutor(8) as crowd:
        list(crowd.map(make, range(8)))
    assert ask(tmp_path, "SELECT count(*) FROM runs") == [(1,)]


# --- files that are no store, and damage


def foreign(path: Path) -> None:
    ask(path / FILE, "CREATE TABLE trials (number)")


def newer(path: Path) -> None:
    Store(path)._connection.close()
    ask(path, f"PRAGMA user_version = {VERSION + 1}")


def no_database(path: Path) -> None:
    (path / FILE).write_text("arm,pair,error\n" * 400)


def folder(path: Path) -> None:
    (path / FILE).mkdir()


def torn(path: Path) -> None:
    filled(path)
    whole = (path / FILE).read_bytes()
    (path / FILE).write_bytes(whole[:-4096])


def zeroed(path: Path) -> None:
    filled(path)
    whole = bytearray((path / FILE).read_bytes())
    whole[4096:8192] = bytes(4096)
    (path / FILE).write_bytes(whole)


REFUSED = {
    foreign: "is an SQLite file of another program.*move the file away",
    newer: f"version {VERSION + 1}, and this dropkit reads version {VERSION}.*install a newer dropkit",
    no_database: "is no SQLite file.*move the file away",
    folder: "can no longer be written.*let a file be written there",
    torn: "must hold an undamaged store.*put a copy in its place",
    zeroed: "must hold an undamaged store.*put a copy in its place",
}


@pytest.mark.parametrize("make", REFUSED)
def test_what_is_no_sound_store_is_refused_and_left_as_it_is(tmp_path: Path, make: object) -> None:
    assert callable(make)
    make(tmp_path)
    before = None if make is folder else (tmp_path / FILE).read_bytes()
    with pytest.raises(DropkitError, match=f"^out .*{REFUSED[make]}"):
        Store(tmp_path)
    assert before is None or (tmp_path / FILE).read_bytes() == before


def filled(path: Path) -> dict[str, Run]:
    """A store of twenty runs, closed: all is in one file."""
    runs = {f"{at:032x}": replace(RUN, pair=at) for at in range(20)}
    with Store(path) as store:
        for run_id, run in runs.items():
            store.finish(run_id, run)
    return runs


@pytest.mark.parametrize("column", ["record", "checksum"])
def test_a_record_whose_checksum_fails_is_thrown_out_and_counted(
    store: Store, tmp_path: Path, column: str
) -> None:
    store.finish("a", RUN)
    store.finish("b", OTHER)
    ask(tmp_path, f"UPDATE runs SET {column} = replace({column}, '5', '6') WHERE id = 'a'")
    assert store.finished("ab") == {"b": OTHER}
    assert store.damaged == 1
    assert store.claim("ab", 2) == Claim(("a",), {"b": OTHER})
    assert store.finish("a", RUN) == RUN
    assert store.finished("a") == {"a": RUN}


def test_the_finished_runs_of_a_plan_are_counted_and_damaged_ones_told(tmp_path: Path) -> None:
    runs = filled(tmp_path)
    first, other = next(iter(runs)), replace(RUN, plan="another plan")
    with Store(tmp_path) as store:
        store.finish("other", other)
        assert (store.finished_of("plan"), store.finished_of("another plan")) == (len(runs), 1)
    with closing(sqlite3.connect(tmp_path / FILE)) as connection, connection:
        connection.execute("UPDATE runs SET record = 'no' WHERE id = ?", (first,))
    with Store(tmp_path) as store:
        assert (store.finished_of("plan"), store.damaged) == (len(runs) - 1, 1)


def test_a_record_under_another_id_is_not_believed(store: Store, tmp_path: Path) -> None:
    store.finish("a", RUN)
    ask(tmp_path, "UPDATE runs SET id = 'b'")
    assert store.finished("ab") == {}


def test_a_changed_byte_anywhere_never_changes_a_result(tmp_path: Path) -> None:
    runs = filled(tmp_path)
    whole = (tmp_path / FILE).read_bytes()
    outcomes = {"refused": 0, "thrown out": 0, "unhurt": 0}
    for at in range(0, len(whole), 131):
        damaged = bytearray(whole)
        damaged[at] ^= 0xFF
        (tmp_path / FILE).write_bytes(damaged)
        outcomes[outcome(tmp_path, runs)] += 1
    assert min(outcomes.values()) > 0


def outcome(path: Path, runs: dict[str, Run]) -> str:
    try:
        with Store(path) as store:
            found = store.finished(runs)
    except DropkitError:
        return "refused"
    assert found.items() <= runs.items()
    return "unhurt" if found == runs else "thrown out"


def test_a_lock_that_does_not_go_away_is_told(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.finish("a", RUN)
    store._connection.execute("PRAGMA busy_timeout = 50")
    with closing(sqlite3.connect(tmp_path / FILE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(
            DropkitError, match=r"locked\); runs.sqlite keeps 1 finished run.*end the program"
        ):
            store.finish("b", OTHER)
        other.execute("ROLLBACK")
    assert store.finish("b", OTHER) == OTHER


# --- the folder


def test_a_folder_is_made_and_left_empty(tmp_path: Path) -> None:
    assert list(prepare_folder(tmp_path / "a" / "b").iterdir()) == []


def test_an_old_result_that_cannot_be_replaced_is_refused(tmp_path: Path) -> None:
    (tmp_path / "report.html").mkdir()
    with pytest.raises(DropkitError, match="must be a folder that can be written"):
        prepare_folder(tmp_path)


def test_records_are_json_that_any_shell_shows(store: Store, tmp_path: Path) -> None:
    store.finish("a", RUN)
    ((record,),) = ask(tmp_path, "SELECT record FROM runs")
    assert json.loads(str(record))["select"] == {"error": 0.25, "nll": 1.5}


# --- plans, and what the sealed part gave


def test_a_plan_is_written_down_once_and_the_first_stays_first(store: Store) -> None:
    assert store.registered("question") is None
    for options, name in (("a", "one"), ("b", "two"), ("a", "one")):
        store.register("question", options, name, f"{{{name}}}")
    assert store.registered("question") == "{one}"
    assert store.registered("question", "b") == "{two}"
    assert store.registered("another") is None
    assert store.last_options() == "b"


def test_a_damaged_plan_is_not_believed(store: Store, tmp_path: Path) -> None:
    store.register("question", "a", "one", "{1}")
    store.register("question", "a", "two", "{2}")
    ask(tmp_path, "UPDATE plans SET record = '{9}' WHERE fingerprint = 'one'")
    assert store.registered("question") == "{2}"


def test_what_sealed_rows_gave_comes_back_as_it_was(store: Store, tmp_path: Path) -> None:
    losses = np.random.default_rng(0).random((3, 40))
    store.keep_losses({"a": losses})
    found = store.losses(["a", "b"])
    assert list(found) == ["a"]
    assert np.array_equal(found["a"], losses)
    ask(tmp_path, "UPDATE sealed SET losses = zeroblob(960)")
    assert store.losses(["a"]) == {}


def test_openings_are_counted_for_good(store: Store, tmp_path: Path) -> None:
    assert store.openings() == 0
    store.note_opening("plan")
    with Store(tmp_path) as again:
        again.note_opening("plan")
    assert store.openings() == 2


def test_an_older_store_gets_what_it_lacks(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.finish("a", RUN)
    for table in ("plans", "sealed", "openings"):
        ask(tmp_path, f"DROP TABLE {table}")
    ask(tmp_path, "PRAGMA user_version = 1")
    with Store(tmp_path) as store:
        assert store.finished("a") == {"a": RUN}
        assert store.openings() == 0
    assert ask(tmp_path, "PRAGMA user_version") == [(VERSION,)]
