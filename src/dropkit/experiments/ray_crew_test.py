import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
from tests import stand_in
from tests.stand_in import JOBS, StandIn, is_gone, process_of, settle

from dropkit.core.check import DropkitError, MissingPackage
from dropkit.experiments import ray_crew
from dropkit.experiments.crew import Alone, Death, make_crew
from dropkit.experiments.ray_crew import RayCrew

ray = pytest.importorskip("ray", reason="Ray is an optional package")

# Workers do not have the folder of the tests.
cloudpickle.register_pickle_by_value(stand_in)


class Unloadable(StandIn):
    def __reduce__(self) -> Any:
        return int, ("no number",)


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A session that all tests of this file share: to start one takes seconds."""
    with ray_crew._silence():
        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def crew(work: Any, address: str = "auto", size: int | None = None) -> RayCrew:
    return RayCrew(work, address, size)


@pytest.mark.usefixtures("cluster")
def test_the_cluster_gives_the_runs_that_one_process_gives(tmp_path: Path) -> None:
    work: Any = StandIn(tmp_path)
    assert settle(crew(work), JOBS) == settle(Alone(work), JOBS)
    assert ray.is_initialized()


@pytest.mark.usefixtures("cluster")
def test_after_a_kill_in_the_middle_of_a_run_the_results_are_the_same(tmp_path: Path) -> None:
    work: Any = StandIn(tmp_path, seconds=1.0)
    trainer = crew(work)
    begun = trainer.begin(JOBS[0])
    os.kill(process_of(JOBS[0], tmp_path), signal.SIGKILL)
    with pytest.raises(Death) as death:
        trainer.collect(begun)
    assert death.value.in_run
    assert trainer.vacancies == trainer.size == 2
    work.seconds = 0.0
    assert settle(trainer, JOBS)[0] == settle(Alone(work), JOBS)[0]
    assert len(list(tmp_path.glob("id-0.*"))) >= 2


@pytest.mark.usefixtures("cluster")
def test_the_work_travels_once_for_all_runs_of_a_worker(tmp_path: Path) -> None:
    loads = tmp_path / "loads"

    class Counting(StandIn):
        def __setstate__(self, state: dict[str, Any]) -> None:
            self.__dict__.update(state)
            with loads.open("a") as file:
                file.write(f"{os.getpid()}\n")

    settle(crew(Counting(tmp_path), size=1), JOBS)
    loaded = loads.read_text().split()
    assert len(loaded) == len(set(loaded)) < len(JOBS)


@pytest.mark.usefixtures("cluster")
def test_runs_are_cancelled_at_the_end(tmp_path: Path) -> None:
    with crew(StandIn(tmp_path, seconds=600.0)) as trainer:
        trainer.begin(JOBS[0])
        process = process_of(JOBS[0], tmp_path)
    assert is_gone(process)


@pytest.mark.usefixtures("cluster")
def test_workers_that_cannot_load_the_work_are_named(tmp_path: Path) -> None:
    with crew(Unloadable(tmp_path)) as trainer, pytest.raises(DropkitError, match="can load the work: Value"):
        trainer.collect(trainer.begin(JOBS[0]))


@pytest.mark.usefixtures("cluster")
def test_workers_with_other_versions_are_refused(tmp_path: Path) -> None:
    with crew(StandIn(tmp_path)) as trainer:
        trainer._parcel = trainer._parcel[0], {"torch": "0.1"}
        with pytest.raises(DropkitError, match=r"versions of the study, got .*; install {'torch': '0.1'}"):
            trainer.collect(trainer.begin(JOBS[0]))


def test_work_that_cannot_travel_is_refused_before_a_cluster_is_asked_for(tmp_path: Path) -> None:
    work: Any = StandIn(tmp_path)
    work.lock = threading.Lock()
    with pytest.raises(DropkitError, match="must be able to load the model: TypeError"):
        crew(work, "127.0.0.1:1")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("127.0.0.1:1", "can be reached: ConnectionRefusedError"),
        ("no-such-host.invalid:6379", "can be reached: gaierror"),
        ("127.0.0.1:65536", "must be the address"),
        ("ray://127.0.0.1:1", "must be the address"),
        ("127.0.0.1", "must be the address"),
        ("", "must be the address"),
    ],
)
def test_an_address_without_a_cluster_is_refused_at_once(
    tmp_path: Path, address: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    began = time.monotonic()
    with pytest.raises(DropkitError, match=message):
        crew(StandIn(tmp_path), address)
    assert time.monotonic() - began < 2 * ray_crew._CONNECT


def test_auto_without_a_cluster_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise ConnectionError("no cluster")

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setattr("ray.init", refuse)
    with pytest.raises(DropkitError, match=r"got 'auto'; write auto on a machine of the cluster"):
        crew(StandIn(tmp_path))


def test_auto_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(DropkitError, match=r"got '127\.0\.0\.1:1'"):
        ray_crew._where("auto")


def test_without_ray_the_line_to_type_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    work: Any = StandIn(tmp_path)
    with pytest.raises(MissingPackage, match=r"pip install 'dropkit\[ray\]'"):
        make_crew(work, 2, ray="local")


OWN = """
import sys
from pathlib import Path
from tests.stand_in import JOBS, StandIn, settle
from dropkit.experiments.crew import make_crew
import cloudpickle
import ray
from tests import stand_in
cloudpickle.register_pickle_by_value(stand_in)
runs, deaths = settle(make_crew(StandIn(Path(sys.argv[1])), 1, ray="local"), JOBS)
assert [run.id for run in runs] == [job.id for job in JOBS] and not deaths
assert not ray.is_initialized()
"""


def test_a_cluster_of_our_own_is_silent_and_gone_afterwards(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", OWN, str(tmp_path)]
    root = Path(stand_in.__file__).parents[1]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
