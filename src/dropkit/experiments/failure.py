"""Why a run failed: what is common is said in the reader's language, all else as it was raised."""

from __future__ import annotations

import torch

from dropkit.experiments.scoring import DivergedError
from dropkit.experiments.user_file import reason
from dropkit.report.messages import RAISED, Note

__all__ = ["failure_of"]

_NO_MEMORY = "can't allocate memory"  # torch on the CPU raises a RuntimeError


def failure_of(error: BaseException) -> Note:
    """The note that a run leaves which ended by an error.

    >>> failure_of(MemoryError()).key, failure_of(ValueError("no")).values
    ('failure.memory', {'text': 'ValueError: no'})
    """
    if isinstance(error, DivergedError):
        return error.note
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or _NO_MEMORY in str(error):
        return Note("failure.memory")
    return Note(RAISED, {"text": reason(error)})
