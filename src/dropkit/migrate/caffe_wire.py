"""Where a .caffemodel file holds the weights of its layers, found without reading the weights."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dropkit.core.check import DropkitError
from dropkit.migrate.caffe_schema import net_class

__all__ = ["LARGEST_MODEL", "MOST_FIELDS", "Blob", "find_blobs"]

LARGEST_MODEL = 2**31 - 1
"""Bytes: Google's protobuf itself stops there. VGG-19 takes 574,671,192."""
MOST_FIELDS = 2**17
"""Of a net, its layers and their blobs, numbers not counted; ResNet-152 has some 10,000."""

# Google's reader is not used here: it takes some 300 bytes of memory for each empty layer, which is 3 bytes
# in the file, so that a bound of the file's size would not bound the memory.
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5
_WIDTHS = {_EIGHT: 8, _FOUR: 4}
_LEGACY = ("num", "channels", "height", "width")
_MEND = "give the .caffemodel as it was saved, or download it again"

Span: TypeAlias = tuple[int, int]
Value: TypeAlias = int | Span


@dataclass
class Blob:
    """An array of a layer: its shape, and where in the file its numbers are."""

    shape: tuple[int, ...]
    count: int
    double: bool
    spans: list[Span] = field(repr=False)
    path: str = ""

    def read(self) -> NDArray[Any]:
        """Return the numbers, or raise `DropkitError` where the file has become shorter."""
        kind = np.dtype("<f8" if self.double else "<f4")
        numbers = np.empty(self.count, kind)
        bytes_, filled = numbers.view(np.uint8).data, 0
        try:
            with Path(self.path).open("rb") as file:
                for start, end in self.spans:
                    file.seek(start)
                    filled += file.readinto(bytes_[filled : filled + end - start])
        except OSError as error:
            raise _no_file(self.path, error) from None
        if filled != len(bytes_):
            raise DropkitError("path", "stays as it is while it is read", self.path, _MEND)
        return numbers.astype(kind.newbyteorder("="), copy=False)


class _Damage(Exception):  # noqa: N818  # becomes a DropkitError that names the file
    pass


def find_blobs(path: str | Path) -> list[tuple[str, list[Blob]]]:
    """Return the names of a file's layers in their order, each with its blobs.

    Files of all generations are read. What was found takes 64 MiB at most.

    Raises:
        DropkitError: the file is missing, larger than `LARGEST_MODEL`, damaged, or no model of Caffe.
        MissingPackage: protobuf is not installed.
    """
    try:
        with Path(path).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > LARGEST_MODEL:
                raise DropkitError("path", f"has at most {LARGEST_MODEL} bytes", f"{size} in {path}", _MEND)
            if file.read(8) == b"\x89HDF\r\n\x1a\n":
                mend = "save the net with snapshot_format: BINARYPROTO"
                raise DropkitError("path", "is a .caffemodel of protobuf, not of HDF5", str(path), mend)
            file.seek(0)
            found = _Walk(file, str(path)).net(size)
    except OSError as error:
        raise _no_file(str(path), error) from None
    except _Damage as damage:
        raise DropkitError("path", f"is a .caffemodel without damage ({damage})", str(path), _MEND) from None
    if not found:
        raise DropkitError("path", "is a .caffemodel with layers", str(path), _MEND)
    return found


def _no_file(path: str, error: OSError) -> DropkitError:
    return DropkitError("path", f"can be read ({error.strerror})", path, _MEND)


class _Walk:
    """A way through the file, message by message, as the schema names their fields."""

    def __init__(self, file: BinaryIO, path: str) -> None:
        self._file, self._path, self._fields = file, path, 0
        self._schema = net_class().DESCRIPTOR

    def net(self, end: int) -> list[tuple[str, list[Blob]]]:
        layers = []
        for name, value, kind in self._message(self._schema, (0, end)):
            if name in ("layer", "layers") and isinstance(value, tuple):
                layers.append(self._layer(kind, value))
        return layers

    def _layer(self, schema: Any, span: Span) -> tuple[str, list[Blob]]:
        title, blobs = "", []
        for name, value, kind in self._message(schema, span):
            if not isinstance(value, tuple):
                continue
            if name == "name":
                title = self._text(value)
            elif name == "blobs":
                blobs.append(self._blob(kind, value))
            elif name == "layer":  # the first form, within the second
                inner, more = self._layer(kind, value)
                title, blobs = inner or title, [*blobs, *more]
        return title, blobs

    def _blob(self, schema: Any, span: Span) -> Blob:
        legacy, shape = dict[str, int](), list[int]()
        spans: dict[str, list[Span]] = {"data": [], "double_data": []}
        shaped = False
        for name, value, kind in self._message(schema, span):
            if name in _LEGACY and isinstance(value, int):
                legacy[name] = value
            elif name == "shape" and isinstance(value, tuple):
                shaped = True
                shape += self._sizes(kind, value)
            elif name in spans and isinstance(value, tuple):
                spans[name].append(value)
        double = bool(spans["double_data"])
        width, chosen = 8 if double else 4, spans["double_data" if double else "data"]
        lengths = [end - start for start, end in chosen]
        if any(length % width for length in lengths):
            raise _Damage(f"half a number in the blob that ends at byte {span[1]}")
        # Caffe goes by the old fields wherever one is there.
        sizes = tuple(legacy.get(name, 0) for name in _LEGACY) if legacy else tuple(shape)
        if not legacy and not shaped:
            sizes = (sum(lengths) // width,)
        return Blob(sizes, sum(lengths) // width, double, chosen, self._path)

    def _sizes(self, schema: Any, span: Span) -> Iterator[int]:
        for name, value, _ in self._message(schema, span):
            if name != "dim":
                continue
            if isinstance(value, int):
                yield value
                continue
            at, end = value
            while at < end:
                self._count()
                size, at = self._varint(at, end)
                yield size

    def _text(self, span: Span) -> str:
        if span[1] - span[0] > 2**12:
            raise _Damage(f"a name of {span[1] - span[0]} bytes")
        return self._file.read(span[1] - span[0]).decode("utf-8", "replace")

    def _message(self, schema: Any, span: Span) -> Iterator[tuple[str, Value, Any]]:
        """Give the fields of a message: name, number or place, and the message type where it is one."""
        at, end = span
        while at < end:
            self._count()
            self._file.seek(at)
            key, start = self._varint(at, end)
            kind = key & 7
            if kind not in (_VARINT, _EIGHT, _BYTES, _FOUR) or key < 8:
                raise _Damage(f"no field begins at byte {at}")
            if kind == _VARINT:
                value: Value
                value, at = self._varint(start, end)
            else:
                length, start = self._varint(start, end) if kind == _BYTES else (_WIDTHS[kind], start)
                value = start, (at := start + length)
                if not start <= at <= end:
                    raise _Damage(f"byte {start} begins {length} bytes where {end - start} are left")
            known = schema.fields_by_number.get(key >> 3)
            if known is not None and _fits(known, kind):
                if isinstance(value, tuple):
                    self._file.seek(start)
                yield known.name, value, known.message_type

    def _count(self) -> None:
        self._fields += 1
        if self._fields > MOST_FIELDS:
            rule = f"has at most {MOST_FIELDS} fields beside its numbers"
            raise DropkitError("path", rule, self._path, _MEND)

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        """Return the signed number that begins here, and where it ends."""
        value = 0
        for place in range(min(10, end - at)):
            byte = self._file.read(1)
            if not byte:
                break
            value |= (byte[0] & 127) << 7 * place
            if byte[0] < 128:
                value &= 2**64 - 1
                return value - 2**64 if value >= 2**63 else value, at + place + 1
        raise _Damage(f"no whole number begins at byte {at}")


def _fits(known: Any, kind: int) -> bool:
    """Return whether a field is written as its type is, or packed; else protobuf passes it over."""
    if known.message_type or known.type in (known.TYPE_STRING, known.TYPE_BYTES):
        return kind == _BYTES
    own = _FOUR if known.type == known.TYPE_FLOAT else _EIGHT if known.type == known.TYPE_DOUBLE else _VARINT
    return kind == own or (known.is_repeated and kind == _BYTES)
