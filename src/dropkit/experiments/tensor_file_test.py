from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from dropkit.experiments import tensor_file
from dropkit.experiments.tensor_file import TornFileError, read_tensors, write_tensors

SHARED = torch.arange(6.0)
TENSORS = {
    "weight": torch.randn(2, 3),
    "one": SHARED,
    "two": SHARED,
    "turned": SHARED.view(2, 3).T,
    "step": torch.tensor(7),
    "half": torch.ones(3, dtype=torch.bfloat16),
    "state": torch.arange(9, dtype=torch.uint8),
    "nothing": torch.empty(0),
}


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "w.safetensors"
    write_tensors(path, TENSORS, {"who": "me"})
    tensors, facts = read_tensors(path)
    assert facts == {"who": "me"}
    assert tensors.keys() == TENSORS.keys()
    for name, value in TENSORS.items():
        assert tensors[name].dtype == value.dtype
        assert torch.equal(tensors[name], value)


def test_any_changed_byte_and_any_lost_end_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    write_tensors(path, {"weight": torch.arange(4.0), "step": torch.tensor(1)}, {"who": "me"})
    whole = path.read_bytes()
    for at in range(len(whole)):
        turned = bytes([whole[at] ^ 1])
        path.write_bytes(whole[:at] + turned + whole[at + 1 :])
        try:
            tensors, facts = read_tensors(path)
        except TornFileError:
            continue
        # A bit of the header that changes nothing, such as the order of its keys or a blank behind them.
        assert facts == {"who": "me"}
        assert torch.equal(tensors["weight"], torch.arange(4.0))
        assert torch.equal(tensors["step"], torch.tensor(1))
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(TornFileError):
            read_tensors(path)


def test_a_folder_that_another_study_removes_at_that_moment_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = Path.mkdir
    removed: list[Path] = []

    def making(folder: Path, **how: Any) -> None:
        make(folder, **how)
        if not removed:
            removed.append(folder)
            folder.rmdir()

    monkeypatch.setattr(Path, "mkdir", making)
    write_tensors(tmp_path / "deep" / "w.safetensors", {"weight": SHARED}, {})
    assert removed == [tmp_path / "deep"]
    assert torch.equal(read_tensors(tmp_path / "deep" / "w.safetensors")[0]["weight"], SHARED)


def test_equal_tensors_make_equal_files(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("one", "two")]
    for file in files:
        write_tensors(file, TENSORS, {name: name for name in "abcdefgh"})
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_file_that_is_not_there_or_a_strangers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TornFileError):
        read_tensors(tmp_path / "none.safetensors")
    strange = tmp_path / "strange.safetensors"
    strange.write_bytes(save({"weight": torch.ones(2)}))
    with pytest.raises(TornFileError, match="__metadata__"):
        read_tensors(strange)


@pytest.mark.parametrize("step", ["_write_through", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "w.safetensors"
    write_tensors(path, {"weight": torch.zeros(2)}, {})
    before = path.read_bytes()

    def full(written: Path, *_: object) -> None:
        written.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path if step == "replace" else tensor_file, step, full)
    with pytest.raises(OSError, match="No space left"):
        write_tensors(path, {"weight": torch.ones(2)}, {})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
