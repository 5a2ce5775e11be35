"""Files of tensors: safetensors, written whole or not at all, with a checksum, never unpickled."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

__all__ = ["TornFileError", "read_tensors", "write_tensors"]

_HEADER = "dropkit"


class TornFileError(ValueError):
    """A file of tensors is not there, is not one of ours, or is not what was written."""


def write_tensors(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, str]) -> None:
    """Write tensors and texts so that a reader finds the old file or the new one, never a part.

    Args:
        path: of the file; its folder is made.
        tensors: dense; what shares memory is written twice.
        facts: kept in the header.

    Raises:
        OSError: the folder cannot be written; nothing is left behind.
    """
    plain = {
        name: value.detach().clone(memory_format=torch.contiguous_format) for name, value in tensors.items()
    }
    # One text: safetensors writes several in any order, and equal weights shall make equal files.
    header = json.dumps({"facts": dict(facts), "sha256": _digest(plain, facts)}, sort_keys=True)
    content = save(plain, {_HEADER: header})
    beside = path.with_suffix(f"{path.suffix}.{os.getpid()}.part")
    try:
        _write_through(beside, content)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _write_through(path: Path, content: bytes) -> None:
    # On the disk before it gets its name: after a power cut the name would else stand for zeros.
    with _opened(path) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _opened(path: Path) -> BinaryIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        return path.open("wb")
    # Whoever else works here found the folder empty just now and removed it.
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("wb")


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and texts of a file that `write_tensors` wrote.

    Raises:
        TornFileError: it is not there, or its checksum says that it is not what was written.
    """
    try:
        content = path.read_bytes()  # no memory map: the file may be replaced while its tensors are in use
        tensors, header = load(content), _header(content)
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise TornFileError(f"{path.name}: {error}") from error
    facts: dict[str, str] = header["facts"]
    if header["sha256"] != _digest(tensors, facts):
        raise TornFileError(f"{path.name}: its checksum does not fit")
    return tensors, facts


def _header(content: bytes) -> dict[str, Any]:
    # The format: eight bytes of length, then JSON. `load` has checked it, and does not hand it out.
    length = int.from_bytes(content[:8], "little")
    header: dict[str, Any] = json.loads(json.loads(content[8 : 8 + length])["__metadata__"][_HEADER])
    return {"facts": header["facts"], "sha256": header["sha256"]}


def _digest(tensors: Mapping[str, Tensor], facts: Mapping[str, str]) -> str:
    found = hashlib.sha256(repr(sorted(facts.items())).encode())
    for name, value in sorted(tensors.items()):
        found.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        found.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()
