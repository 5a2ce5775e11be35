"""Many runs over a few processes; results come back as they finish."""

from __future__ import annotations

import signal
from collections.abc import Generator, Sequence
from concurrent.futures.process import BrokenProcessPool
from pickle import PicklingError

from joblib import Parallel, delayed
from joblib.externals.loky import get_reusable_executor

from dropkit.core.check import DropkitError
from dropkit.experiments.train import Task, train
from dropkit.report.record import Run

__all__ = ["run_all"]


def run_all(tasks: Sequence[Task], workers: int) -> Generator[Run]:
    """Train every task, in this process for one worker, else in that many processes.

    Raises:
        DropkitError: a worker could not load its task, or was killed, most often for want of memory.
    """
    workers = min(workers, len(tasks))
    if workers <= 1:
        yield from map(train, tasks)
        return
    pool = Parallel(
        workers, return_as="generator_unordered", batch_size=1, initializer=_leave_interrupts_alone
    )
    try:
        yield from pool(delayed(train)(task) for task in tasks)
    except (BrokenProcessPool, PicklingError) as error:
        reason = str(error).partition("\n")[0][:200]
        rule = f"must be able to load the model and to fit into memory: {type(error).__name__}: {reason}"
        mend = "ask for fewer (1 stays in this process) and repeat the command: finished runs are kept"
        raise DropkitError("workers", rule, workers, mend) from error
    finally:
        get_reusable_executor().shutdown(wait=True)  # idle workers would keep their memory for minutes


def _leave_interrupts_alone() -> None:
    # Ctrl-C reaches every process of a terminal; only the parent, which holds the results, shall answer it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
