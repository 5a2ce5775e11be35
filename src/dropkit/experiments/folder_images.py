"""A folder of images, one folder a class: FOLDER/cat/1.png, FOLDER/dog/7.png."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dropkit.core.check import DropkitError, try_import
from dropkit.experiments.dataset import CLASSIFICATION, Dataset, ImageInputs
from dropkit.experiments.target import decide_target
from dropkit.report.messages import Note
from dropkit.report.words import printable

__all__ = ["folder_dataset"]

SUFFIXES = (".png", ".jpg", ".jpeg")
MAX_BYTES = 2**33
_GREY, _COLOUR = ("1", "L", "LA"), ("P", "RGB", "RGBA", "PA")
_MEND_LAYOUT = "put the images of each class into a folder of its own: FOLDER/class/1.png"


def folder_dataset(folder: Path) -> Dataset:
    """Images of a folder whose own folders are the classes; all of one size, scaled to [0, 1].

    Grey images give one channel; where one is coloured all become red, green, blue. Transparency is dropped.

    Args:
        folder: with one folder a class, of .png, .jpg or .jpeg files.

    Raises:
        DropkitError: no classes are found, or an image cannot be read or has another size than the first.
    """
    paths, strange = _find(folder)
    labels = np.array([path.parent.name for path in paths], dtype=object)
    name = f"'{printable(folder.name, 40)}'"
    target = decide_target(f"folder {name}", labels, CLASSIFICATION, name)
    inputs, mode = _read_all(folder, paths)
    notes = [target.note, Note(f"note.{'grey' if mode == 'L' else 'coloured'}_images", {"n": len(paths)})]
    notes += [Note("note.other_files", {"n": strange, "kinds": ", ".join(SUFFIXES)})] if strange else []
    classes = tuple(printable(name, 40) for name in target.classes)
    return Dataset(folder.name, CLASSIFICATION, inputs, target.y, classes, notes=tuple(notes))


def _find(folder: Path) -> tuple[list[Path], int]:
    try:
        classes = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
        files = [f for place in classes for f in sorted(place.iterdir()) if not f.name.startswith(".")]
    except OSError as error:
        rule = f"must be a folder that can be read ({error.strerror})"
        raise DropkitError("data", rule, str(folder), "check its permissions") from error
    images = [file for file in files if file.suffix.lower() in SUFFIXES]
    if not images:
        raise DropkitError("data", "must hold images, one folder a class", str(folder), _MEND_LAYOUT)
    return images, len(files) - len(images)


def _read_all(folder: Path, paths: list[Path]) -> tuple[ImageInputs, str]:
    looks = [_look(folder, path) for path in paths]
    first = looks[0][0]
    for path, (size, _) in zip(paths, looks, strict=True):
        if size != first:
            rule = f"must have one size, {first[0]} x {first[1]} as {_short(folder, paths[0])}"
            value = f"{size[0]} x {size[1]} in {_short(folder, path)}"
            raise DropkitError("data", rule, value, "resize the images first, e.g. with PIL's Image.resize")
    mode = "L" if all(grey for _, grey in looks) else "RGB"
    pixel_bytes = len(paths) * first[0] * first[1] * len(mode)
    if pixel_bytes > MAX_BYTES:
        rule = f"must fit into {MAX_BYTES:,} bytes of pixels"
        raise DropkitError("data", rule, f"{pixel_bytes:,}", "make the images smaller, or give fewer")
    pixels = np.stack([_pixels(folder, path, mode) for path in paths])
    return ImageInputs(pixels[:, None] if mode == "L" else pixels.transpose(0, 3, 1, 2), 255.0), mode


def _look(folder: Path, path: Path) -> tuple[tuple[int, int], bool]:
    """Width, height and whether it is grey, from the header alone."""
    with _open(folder, path) as image:
        if image.mode not in (*_GREY, *_COLOUR):
            rule = f"must be grey or coloured images of 8 bits: {_short(folder, path)}"
            raise DropkitError("data", rule, image.mode, "save it again as an 8-bit PNG")
        size: tuple[int, int] = image.size
        return size, image.mode in _GREY


def _pixels(folder: Path, path: Path, mode: str) -> npt.NDArray[Any]:
    try:
        with _open(folder, path) as image:
            return np.asarray(image.convert(mode))
    except (OSError, SyntaxError, ValueError) as error:
        if isinstance(error, DropkitError):
            raise
        raise _unreadable(folder, path, error) from error


def _open(folder: Path, path: Path) -> Any:
    pillow = try_import("PIL.Image", extra="study")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pillow.DecompressionBombWarning)
            return pillow.open(path)
    except (OSError, SyntaxError, ValueError, pillow.DecompressionBombError, Warning) as error:
        raise _unreadable(folder, path, error) from error


def _unreadable(folder: Path, path: Path, error: BaseException) -> DropkitError:
    rule = f"must hold images that can be read ({type(error).__name__})"
    return DropkitError("data", rule, _short(folder, path), "remove the file or save it again")


def _short(folder: Path, path: Path) -> str:
    return printable(str(path.relative_to(folder)), 80)
