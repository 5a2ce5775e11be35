"""Work without networks: for whoever tests who trains."""

import os
import time
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path

from dropkit.experiments.crew import Death, Trainer
from dropkit.report.plan import Arm, Job
from dropkit.report.record import Run, Scores

JOBS = [Job(f"id-{pair}", Arm("dropout", "dropout", rate=0.5), pair) for pair in range(6)]


class StandIn:
    """Work whose runs are known beforehand, that takes its time and says which process does it."""

    def __init__(self, folder: Path, seconds: float = 0.0) -> None:
        self.folder, self.seconds = folder, seconds
        self.splits = [0] * 1000

    def run(self, job: Job) -> Run:
        (self.folder / f"{job.id}.{os.getpid()}").touch()
        time.sleep(self.seconds)
        score = Scores(job.arm.rate / (job.pair + 1), 1.0)
        return Run("plan", job.arm.name, job.pair, 0.0, select=score, id=job.id)


def settle(trainer: Trainer, jobs: list[Job]) -> tuple[list[Run], int]:
    """Every run once, in the order of the jobs, and how many deaths it took."""
    waiting, deaths = list(jobs), 0
    running: dict[Future[Run], Job] = {}
    runs: dict[str, Run] = {}
    with trainer:
        while waiting or running:
            while waiting and trainer.vacancies:
                job = waiting.pop(0)
                running[trainer.begin(job)] = job
            for future in wait(running, 60, FIRST_COMPLETED).done:
                job = running.pop(future)
                try:
                    runs[job.id] = trainer.collect(future)
                except Death:
                    deaths += 1
                    waiting.append(job)
    return [runs[job.id] for job in jobs], deaths


def process_of(job: Job, folder: Path) -> int:
    for _ in range(3600):
        for path in folder.glob(f"{job.id}.*"):
            return int(path.suffix[1:])
        time.sleep(0.05)
    raise AssertionError(f"{job.id} never began")


def is_gone(process: int) -> bool:
    """Whether a process ends within half a minute."""
    for _ in range(3600):
        if not Path(f"/proc/{process}").exists():
            return True
        time.sleep(0.05)
    return False
