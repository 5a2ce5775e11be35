"""Finished runs on disk: one line each, forced to the disk before the next one starts to count."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict
from pathlib import Path

from dropkit.core.check import DropkitError
from dropkit.report.record import Run

__all__ = ["RunLog", "prepare_folder"]

RunId = tuple[str, int]


def prepare_folder(out: str | Path) -> Path:
    """Make the output folder and prove that files can be written there, before any work starts.

    Raises:
        DropkitError: it cannot be made or written.
    """
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"dropkit")
        for name in ("runs.jsonl", "study.json", "report.html"):
            _check_file(folder / name)
    except OSError as error:
        rule = f"must be a folder that can be written ({error.strerror})"
        raise DropkitError("out", rule, str(out), "name another with --out") from error
    return folder


def _check_file(path: Path) -> None:
    if path.exists():
        path.open("a").close()


class RunLog:
    """The file runs.jsonl of a study: appended to, never rewritten, so that a kill costs no finished run.

    Lines of other plans may stand in the same file; each line carries the fingerprint of its plan.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "runs.jsonl"

    def load(self, fingerprint: str) -> dict[RunId, Run]:
        """Finished runs of one plan by (arm, pair), without failed ones and lines that a crash cut off."""
        if not self.path.exists():
            return {}
        lines = self.path.read_bytes().splitlines()
        runs = [run for run in map(_parse, lines) if run and run.plan == fingerprint and not run.failure]
        return {(run.arm, run.pair): run for run in runs}

    def append(self, run: Run) -> None:
        """Write one run and wait until it is on the disk."""
        line = json.dumps(asdict(run), allow_nan=False).encode() + b"\n"
        try:
            with self.path.open("ab") as file:
                file.write(b"\n" + line if self._is_torn() else line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            rule = (
                f"can no longer be written ({error.strerror}); runs up to here are kept in {self.path.name}"
            )
            mend = "make room and repeat the command: it goes on from there"
            raise DropkitError("out", rule, str(self.path.parent), mend) from error

    def _is_torn(self) -> bool:
        with self.path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - 1, 0))
            return size > 0 and file.read(1) != b"\n"


def _parse(line: bytes) -> Run | None:
    try:
        return Run.from_dict(json.loads(line))
    except (ValueError, KeyError, TypeError):
        return None
