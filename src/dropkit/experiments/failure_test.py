import pytest
import torch

from dropkit.experiments.failure import failure_of
from dropkit.experiments.scoring import DivergedError
from dropkit.report.messages import RAISED, Note

NOTE = Note("failure.loss", {"value": "inf"})
CPU = RuntimeError(
    "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."
)


@pytest.mark.parametrize(
    ("error", "note"),
    [
        (DivergedError(NOTE), NOTE),
        (MemoryError(), Note("failure.memory")),
        (torch.OutOfMemoryError("CUDA out of memory"), Note("failure.memory")),
        (CPU, Note("failure.memory")),
        (RuntimeError("a layer broke"), Note(RAISED, {"text": "RuntimeError: a layer broke"})),
        (SystemExit(3), Note(RAISED, {"text": "SystemExit: 3"})),
    ],
)
def test_what_is_common_has_a_message_and_the_rest_its_own_words(error: BaseException, note: Note) -> None:
    assert failure_of(error) == note


def test_torch_says_so_where_memory_is_short() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**56, dtype=torch.uint8)
    assert failure_of(caught.value) == Note("failure.memory")
