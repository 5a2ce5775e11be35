"""The code on the page about clusters does what it says, as far as there are clusters to be had."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
from tests import stand_in
from tests.stand_in import JOBS, StandIn, process_of, settle

from dropkit.experiments.crew import Alone, Death, make_crew

PAGE = Path(__file__).parents[1] / "docs" / "cluster.md"

# Workers do not have the folder of the tests.
cloudpickle.register_pickle_by_value(stand_in)


def code(heading: str) -> dict[str, Any]:
    """The names that the block of Python under a heading defines."""
    section = PAGE.read_text(encoding="utf-8").partition(f"### {heading}\n")[2]
    found = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert found is not None
    # No module of this name can be imported, so its functions travel whole.
    names: dict[str, Any] = {"__name__": "page"}
    exec(found[1], names)
    return names


def stand_in_for(folder: Path) -> Any:
    """Work that is no network, long enough to be killed."""
    return StandIn(folder, seconds=0.5)


@pytest.fixture
def dask() -> Iterator[Any]:
    """A cluster of two processes of one thread; a run that was killed once is not begun again by it."""
    distributed = pytest.importorskip("distributed", reason="Dask is an optional package")
    import dask.config

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50
        ) as cluster,
    ):
        yield cluster


def test_dask_gives_the_runs_of_one_process_also_after_a_kill(tmp_path: Path, dask: Any) -> None:
    make, work = code("Dask")["DaskCrew"], stand_in_for(tmp_path)
    trainer: Any = make_crew(work, 1, crew=lambda each: make(each, dask.scheduler_address))
    begun = trainer.begin(JOBS[0])
    assert (trainer.size, trainer.vacancies) == (2, 1)
    os.kill(process_of(JOBS[0], tmp_path), signal.SIGKILL)
    with pytest.raises(Death):
        trainer.collect(begun)
    runs, deaths = settle(trainer, JOBS)
    assert (runs, deaths) == settle(Alone(work), JOBS)


def test_slurm_jobs_give_the_runs_of_one_process_also_after_a_kill(tmp_path: Path) -> None:
    pytest.importorskip("submitit", reason="submitit is an optional package")
    make, work = code("Slurm")["SlurmCrew"], stand_in_for(tmp_path)
    trainer = make(work, str(tmp_path / "slurm"), 2, cluster="local")
    begun = trainer.begin(JOBS[0])
    os.kill(process_of(JOBS[0], tmp_path), signal.SIGKILL)
    with pytest.raises(Death):
        trainer.collect(begun)
    runs, deaths = settle(trainer, JOBS[:3])
    assert (runs, deaths) == settle(Alone(work), JOBS[:3])


def test_a_slurm_job_that_raises_is_no_death(tmp_path: Path) -> None:
    submitit = pytest.importorskip("submitit", reason="submitit is an optional package")
    make = code("Slurm")["SlurmCrew"]
    with (
        make("no work", str(tmp_path), 1, cluster="local") as trainer,
        pytest.raises(submitit.core.utils.FailedJobError, match="AttributeError"),
    ):
        trainer.collect(trainer.begin(JOBS[0]))


def test_a_slurm_job_that_nobody_waits_for_is_cancelled(tmp_path: Path) -> None:
    pytest.importorskip("submitit", reason="submitit is an optional package")
    make = code("Slurm")["SlurmCrew"]
    with make(StandIn(tmp_path, seconds=600.0), str(tmp_path / "slurm"), 1, cluster="local") as trainer:
        trainer.begin(JOBS[0])
        process = process_of(JOBS[0], tmp_path)
    assert stand_in.is_gone(process)
