"""TensorBoard: a folder of event files for each run, and one for the comparisons of the study."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dropkit.core.check import try_import
from dropkit.experiments.tracked_numbers import curve_numbers, effect_numbers, run_numbers, stage_of, words_of
from dropkit.report.plan import Plan
from dropkit.report.record import Run, StudyResult

__all__ = ["TensorBoardTracker"]

_STUDY = "study"


class TensorBoardTracker:
    """Event files for `tensorboard --logdir FOLDER/tensorboard`: one folder a plan, in it one a run.

    Args:
        folder: of the study.

    Raises:
        MissingPackage: tensorboard is not installed.
    """

    name = "tensorboard"

    def __init__(self, folder: Path) -> None:
        try_import("tensorboard", extra="tensorboard")
        from torch.utils import tensorboard

        self._writer = tensorboard.SummaryWriter
        self._root = folder / "tensorboard"
        self._plan: Plan

    def planned(self, plan: Plan) -> None:
        """Write the plan down."""
        self._plan, self._root = plan, self._root / plan.fingerprint
        # Begun anew, so that a study that goes on does not show its comparisons twice.
        shutil.rmtree(self._root / _STUDY, ignore_errors=True)
        with self._open(_STUDY) as board:
            board.add_text("plan", _code(asdict(plan)))

    def finished(self, run: Run) -> None:
        """Write a run down, if no earlier session has done so."""
        stage = stage_of(self._plan, run)
        arm = re.sub(r"[^\w+-]+", "_", run.arm)
        name = f"{stage}/{arm}/pair_{run.pair + 1}/{run.id}{f'_{run.paused}' if run.paused else ''}"
        if (self._root / name).exists():
            return
        with self._open(name) as board:
            for tag, value, epoch in curve_numbers(run):
                board.add_scalar(tag, value, epoch)
            for tag, value in run_numbers(run).items():
                board.add_scalar(tag, value, run.epochs)
            if run.failure:
                board.add_text("failure", str(run.failure))

    def concluded(self, result: StudyResult) -> None:
        """Write down every comparison with its interval, and the verdict."""
        with self._open(_STUDY) as board:
            for tag, value in effect_numbers(result).items():
                board.add_scalar(tag, value, result.complete_pairs)
            board.add_text("verdict", words_of(result))

    def failed(self) -> None:
        """Leave what is there: files need no end."""

    @contextmanager
    def _open(self, name: str) -> Iterator[Any]:
        board = self._writer(str(self._root / name))
        try:
            yield board
        finally:
            board.close()


def _code(record: dict[str, Any]) -> str:
    """JSON as Markdown shows it unchanged."""
    return "".join(f"    {line}\n" for line in json.dumps(record, indent=1).splitlines())
