"""MLflow: a run for each run, under a parent that holds the plan, the comparisons and the verdict."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dropkit.core.check import try_import
from dropkit.experiments.tracked_numbers import (
    curve_numbers,
    effect_numbers,
    plan_words,
    run_numbers,
    stage_of,
    words_of,
)
from dropkit.report.plan import Plan
from dropkit.report.record import Run, StudyResult

__all__ = ["MlflowTracker"]

_PLAN, _RUN, _PARENT, _NAME = "dropkit.plan", "dropkit.run", "mlflow.parentRunId", "mlflow.runName"
_NOTE = "mlflow.note.content"  # what MLflow shows as the description
_PARAMS, _METRICS = 100, 1000  # that one call takes
_PAGE = 1000  # runs in one answer
_LONGEST = 500  # characters of a value that servers since 1.x take


class MlflowTracker:
    """Runs on the MLflow server that the environment or `mlflow.set_tracking_uri` names, else a file.

    The file is `mlflow.db` in the folder of the study: `mlflow ui --backend-store-uri sqlite:///FILE` shows
    it. The experiment is MLFLOW_EXPERIMENT_NAME, or `dropkit`. A study that goes on goes on in its own parent
    run, and no run is reported twice.

    Args:
        folder: of the study.

    Raises:
        MissingPackage: MLflow, or what it needs for a file, is not installed.
    """

    name = "mlflow"

    def __init__(self, folder: Path) -> None:
        # Whoever wants to send statistics of usage to strangers can set it to false.
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        self._mlflow: Any = try_import("mlflow", extra="mlflow")
        self._uri = None if self._mlflow.tracking.is_tracking_uri_set() else _file(folder)
        self._client: Any = None
        self._experiment = self._parent = ""
        self._told: set[str] = set()
        self._plan: Plan

    def planned(self, plan: Plan) -> None:
        """Open the parent run of this plan, and find out which runs it has already."""
        self._plan = plan
        self._client = self._mlflow.MlflowClient(tracking_uri=self._uri)
        self._experiment = self._open_experiment()
        self._parent = self._open_parent(plan)
        for some in _batches(self._params(plan_words(plan)), _PARAMS):
            self._client.log_batch(self._parent, params=some)
        self._told = {run.data.tags.get(_RUN, "") for run in self._children()}

    def finished(self, run: Run) -> None:
        """Report a run, if that has not been done."""
        name = _identity(run)
        if name in self._told:
            return
        tags = {_PARENT: self._parent, _NAME: f"{run.arm}, pair {run.pair + 1}", _RUN: name}
        tags |= {"failure": str(run.failure)} if run.failure else {}
        child = self._client.create_run(self._experiment, tags=tags).info.run_id
        words = {"arm": run.arm, "pair": str(run.pair), "stage": stage_of(self._plan, run)}
        self._client.log_batch(child, self._metrics_of(run), self._params(words))
        self._client.set_terminated(child, "FAILED" if run.failure else "FINISHED")
        self._told.add(name)

    def concluded(self, result: StudyResult) -> None:
        """Report means, intervals and the verdict on the parent run."""
        effects = effect_numbers(result)
        metrics = [self._metric(name, value, result.complete_pairs) for name, value in effects.items()]
        for some in _batches(metrics, _METRICS):
            self._client.log_batch(self._parent, metrics=some)
        self._client.set_tag(self._parent, _NOTE, words_of(result))
        self._client.set_tag(self._parent, "recommended", result.verdict.recommended)
        self._client.set_terminated(self._parent, "KILLED" if result.stopped_early else "FINISHED")

    def failed(self) -> None:
        """Close the parent run as failed."""
        self._client.set_terminated(self._parent, "FAILED")

    def _open_experiment(self) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "dropkit")
        found = self._client.get_experiment_by_name(name)
        return str(found.experiment_id if found else self._client.create_experiment(name))

    def _open_parent(self, plan: Plan) -> str:
        found = self._client.search_runs(
            [self._experiment], f"tags.`{_PLAN}` = '{plan.fingerprint}'", max_results=1
        )
        if found:
            self._client.update_run(found[0].info.run_id, status="RUNNING")
            return str(found[0].info.run_id)
        name = f"{plan.model.name} on {plan.data.name}, {plan.fingerprint}"
        made = self._client.create_run(self._experiment, tags={_PLAN: plan.fingerprint, _NAME: name})
        return str(made.info.run_id)

    def _children(self) -> Iterator[Any]:
        page, wanted = None, f"tags.`{_PARENT}` = '{self._parent}'"
        while page != "":
            found = self._client.search_runs([self._experiment], wanted, max_results=_PAGE, page_token=page)
            yield from found
            page = found.token or ""

    def _metrics_of(self, run: Run) -> list[Any]:
        curve = [self._metric(*point) for point in curve_numbers(run)]
        return curve + [self._metric(name, value, run.epochs) for name, value in run_numbers(run).items()]

    def _metric(self, name: str, value: float, step: int) -> Any:
        return self._mlflow.entities.Metric(_key(name), value, int(1000 * time.time()), step)

    def _params(self, words: Mapping[str, str]) -> list[Any]:
        return [self._mlflow.entities.Param(_key(name), value[:_LONGEST]) for name, value in words.items()]


def _file(folder: Path) -> str:
    for package in ("sqlalchemy", "alembic"):
        try_import(package, extra="mlflow")
    # Two lines about tables at the first use of a file.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
    return f"sqlite:///{(folder / 'mlflow.db').absolute()}"


def _identity(run: Run) -> str:
    return f"{run.id}/{run.paused}" if run.paused else run.id


def _key(name: str) -> str:
    """A name in the signs that MLflow takes."""
    return re.sub(r"[^\w\-. :/]", "_", name, flags=re.ASCII)


def _batches(entries: list[Any], size: int) -> Iterator[list[Any]]:
    for at in range(0, len(entries), size):
        yield entries[at : at + size]
