"""Runs on a Ray cluster: a job goes out, a record comes back, and the work travels to each worker once."""

from __future__ import annotations

import functools
import logging
import os
import socket
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, Self

import cloudpickle

from dropkit.core.check import DropkitError, try_import
from dropkit.experiments.crew import Death, Work, pack
from dropkit.experiments.user_file import reason
from dropkit.experiments.versions import of_runs, versions
from dropkit.report.plan import Job
from dropkit.report.record import Run

__all__ = ["LOCAL", "RayCrew"]

LOCAL = "local"
"""Instead of an address: a cluster on this machine, for the time of the study."""

_CONNECT = 5.0  # seconds; Ray itself goes on for two minutes, and then ends the process
_MEND = "write auto on a machine of the cluster, HOST:PORT of its head, or local"
_LAST_PORT = 65535
_STATISTICS = "RAY_USAGE_STATS_ENABLED"


class RayCrew:
    """Runs as tasks of a Ray cluster, one processor and one thread each; used inside `with`.

    A run whose worker or machine dies raises `Death` and is not repeated by Ray: who asked for it counts
    deaths and asks again, and the id of the run makes sure that it counts once. A cluster that was started
    here is stopped at the end; one that was there keeps running, without our tasks.

    Args:
        work: what is trained. Its folder must be the same on all machines.
        address: `auto` on a machine of the cluster, `HOST:PORT` of its head, or `local`.
        size: how many runs at once, 1 or more; by default one for each processor of the cluster.

    Raises:
        MissingPackage: Ray is not installed.
        DropkitError: the work cannot travel, or the cluster cannot be reached or has no processor.
    """

    def __init__(self, work: Work, address: str, size: int | None = None) -> None:
        self._ray: Any = try_import("ray", extra="ray")
        packed = pack(work, size or 1)
        self._address, self._is_ours = address, _connect(self._ray, address, size)
        self._busy: dict[Future[Run], Any] = {}
        try:
            self.size = size or _processors(self._ray, address)
            # Inside a tuple it stays a reference, which a worker follows once for all its runs.
            self._parcel = self._ray.put(packed), of_runs(versions())
        except BaseException:
            self._leave()
            raise
        self._task = self._ray.remote(num_cpus=1, max_retries=0)(_run)

    @property
    def vacancies(self) -> int:
        """How many more runs may be begun now."""
        return self.size - len(self._busy)

    def begin(self, job: Job) -> Future[Run]:
        """Train a run where a processor is free."""
        reference = self._task.remote(self._parcel, job)
        future: Future[Run] = reference.future()
        self._busy[future] = reference
        return future

    def collect(self, future: Future[Run]) -> Run:
        """The run of a future that is done.

        Raises:
            Death: its worker or its machine died.
            DropkitError: a worker has other versions or cannot load the work, or the cluster is lost.
        """
        del self._busy[future]
        errors = self._ray.exceptions
        try:
            return future.result()
        except errors.NodeDiedError as error:
            raise Death(in_run=False) from error
        except (errors.WorkerCrashedError, errors.OutOfMemoryError) as error:
            raise Death(in_run=True) from error
        except errors.RayTaskError as error:
            raise _cannot_run(error.cause, self._address) from error
        except errors.RayError as error:
            raise _lost(error, self._address) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._leave()

    def _leave(self) -> None:
        for reference in self._busy.values():
            self._ray.cancel(reference, force=True)
        if self._is_ours:
            self._ray.shutdown()


def _connect(ray: Any, address: str, size: int | None) -> bool:
    """Whether a session of Ray was begun here; one that this process has already is used as it is."""
    if ray.is_initialized():
        return False
    where = _where(address) | ({"num_cpus": size, "include_dashboard": False} if address == LOCAL else {})
    try:
        with _silence():
            ray.init(**where, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError, SystemExit) as error:  # SystemExit: nobody answers as Ray does
        raise _lost(error, address) from error
    return True


def _where(address: str) -> dict[str, str]:
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS", address)
    if address not in ("auto", LOCAL):
        _knock(address)
    return {"address": address}


def _knock(address: str) -> None:
    """Refuse an address at which nobody listens."""
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdecimal() or int(port) > _LAST_PORT:
        raise DropkitError("ray", "must be the address of a Ray cluster", address, _MEND)
    try:
        socket.create_connection((host, int(port)), _CONNECT).close()
    except OSError as error:
        raise _lost(error, address) from error


@contextmanager
def _silence() -> Iterator[None]:
    """No log on the terminal, and no statistics of usage to strangers unless the user asks for them."""
    logger = logging.getLogger("ray")
    level, asked = logger.level, os.environ.get(_STATISTICS)
    logger.setLevel(logging.ERROR)
    os.environ.setdefault(_STATISTICS, "0")
    try:
        yield
    finally:
        logger.setLevel(level)
        if asked is None:
            del os.environ[_STATISTICS]


def _processors(ray: Any, address: str) -> int:
    found = int(ray.cluster_resources().get("CPU", 0))
    if not found:
        raise DropkitError("ray", "must be a cluster with processors", address, "start a worker on it")
    return found


def _lost(error: BaseException, address: str) -> DropkitError:
    return DropkitError("ray", f"must be a cluster that can be reached: {reason(error)}", address, _MEND)


def _cannot_run(error: Exception, address: str) -> DropkitError:
    if isinstance(error, DropkitError):
        return error
    mend = "install the same packages there and put your files into a folder that all machines see"
    return DropkitError("ray", f"must have workers that can load the work: {reason(error)}", address, mend)


def _run(parcel: tuple[Any, dict[str, str]], job: Job) -> Run:
    """In a worker: one run, if it would come out there as it does here."""
    reference, wanted = parcel
    if wanted != (found := of_runs(versions())):
        mend = f"install {wanted}: other versions give other numbers"
        raise DropkitError("ray", "must have workers with the versions of the study", found, mend)
    return _work(reference).run(job)


@functools.lru_cache(maxsize=1)
def _work(reference: Any) -> Work:
    work: Work = cloudpickle.loads(try_import("ray", extra="ray").get(reference))
    return work
