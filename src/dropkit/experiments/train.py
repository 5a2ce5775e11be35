"""One run: one arm on one pair, trained, stopped by its stop part, and scored once on its select part."""

from __future__ import annotations

import time
from typing import Any

from dropkit.experiments.arm_check import check_arm
from dropkit.experiments.checkpoint import forget_checkpoint, load_checkpoint, save_checkpoint
from dropkit.experiments.course import Course
from dropkit.experiments.failure import failure_of
from dropkit.experiments.randomness import one_thread, seeded
from dropkit.experiments.task import Task
from dropkit.experiments.weights import keep_weights, weights_path
from dropkit.report.record import Run

__all__ = ["CHECKPOINT_SECONDS", "Task", "train"]

CHECKPOINT_SECONDS = 60.0
"""How often a long run leaves a checkpoint, at a check of its stop part."""


def train(task: Task) -> Run:
    """Train the networks of one run; a failure of this run is recorded, not raised.

    With `job.until` it pauses after that epoch, if it has not ended before, and leaves a checkpoint. A job
    that finds one goes on from there, to the bits of a run that was never interrupted.

    Raises:
        DropkitError: weights are to be kept and the folder can no longer be written.
    """
    watch, job = _Watch(), task.job
    with one_thread(), seeded(0):
        try:
            course = _begin(task, watch)
            paused = _run(course, watch)
            found = _found(course, paused)
        except (Exception, SystemExit) as error:
            found, paused = {"failure": failure_of(error)}, 0
        else:
            if job.keep and not paused and task.folder is not None:
                keep_weights(weights_path(task.folder, job), course.models, course.target)
    if task.folder is not None and not paused:
        forget_checkpoint(task.folder, job)
    return Run(task.plan.fingerprint, job.arm.name, job.pair, watch.seconds, id=job.id, **found)


class _Watch:
    """How long a run has taken, before a pause and after."""

    def __init__(self) -> None:
        self._began, self.saved = time.perf_counter(), time.perf_counter()

    @property
    def seconds(self) -> float:
        return round(time.perf_counter() - self._began, 3)

    def add(self, seconds: float) -> None:
        self._began -= seconds


def _begin(task: Task, watch: _Watch) -> Course:
    check_arm(task.job.arm, task.plan, task.recipe)
    course = Course(task)
    state = None if task.folder is None else load_checkpoint(task.folder, task.job)
    if state is None or 0 < task.job.until < state["course"]["counts"][0]:
        return course
    try:
        course.load(state["course"])
    except (ValueError, KeyError, TypeError, RuntimeError):  # of another version of the model or of torch
        return Course(task)
    watch.add(state["seconds"])
    return course


def _run(course: Course, watch: _Watch) -> int:
    """Train to the end or to the pause; returns the epoch of the pause, 0 for the end."""
    task = course.task
    while not course.ended:
        if course.epoch == task.job.until > 0:
            _save(course, watch)
            return course.epoch
        checked = course.advance()
        if checked and time.perf_counter() - watch.saved >= CHECKPOINT_SECONDS:
            _save(course, watch)
    return 0


def _save(course: Course, watch: _Watch) -> None:
    if course.task.folder is not None:
        state = {"course": course.state(), "seconds": watch.seconds}
        save_checkpoint(course.task.folder, course.task.job, state)
        watch.saved = time.perf_counter()


def _found(course: Course, paused: int) -> dict[str, Any]:
    # The select part is looked at once, at the end: a pause has not come to it.
    stop, select = (None if paused else course.conclude()) or (None, None)
    return {
        "epochs": course.best_epoch,
        "steps": course.steps,
        "stop": stop,
        "select": select,
        "curve": tuple(course.curve),
        "paused": paused,
    }
