from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dropkit.core.check import DropkitError
from dropkit.experiments import folder_images
from dropkit.experiments.dataset import ImageInputs
from dropkit.experiments.sources import load_data

COUNT = 35


def write(path: Path, mode: str = "L", size: tuple[int, int] = (5, 4), value: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, value in (("cat", 10), ("dog", 250)):
        for number in range(COUNT):
            write(tmp_path / "pets" / name / f"{number:02}.png", value=value)
    return tmp_path / "pets"


def pixels(folder: Path) -> ImageInputs:
    inputs = load_data(folder).inputs
    assert isinstance(inputs, ImageInputs)
    return inputs


def test_folders_are_classes_and_images_their_rows(folder: Path) -> None:
    data = load_data(str(folder))
    assert (data.name, data.classes, data.inputs.shape) == ("pets", ("cat", "dog"), (1, 4, 5))
    assert data.y.tolist() == [0] * COUNT + [1] * COUNT
    assert np.unique(pixels(folder).pixels[data.y == 1]) == [250]
    assert "70 images, grey." in map(str, data.notes)


@pytest.mark.parametrize("mode", ["P", "RGB", "RGBA"])
def test_one_coloured_image_makes_all_coloured(folder: Path, mode: str) -> None:
    write(folder / "dog" / "00.png", mode)
    assert pixels(folder).shape == (3, 4, 5)


def test_hidden_folders_and_other_files_are_left_out(folder: Path) -> None:
    write(folder / ".thumbnails" / "1.png")
    (folder / "cat" / "notes.txt").touch()
    (folder / "readme.md").touch()
    data = load_data(folder)
    assert data.classes == ("cat", "dog")
    assert any("1 file that is no .png" in str(note) for note in data.notes)


def damage(folder: Path, kind: str) -> None:
    image = folder / "dog" / "07.png"
    if kind == "another size":
        write(image, size=(4, 4))
    elif kind == "cut":
        image.write_bytes(image.read_bytes()[:50])
    elif kind == "broken inside":
        content = bytearray(image.read_bytes())
        content[45] ^= 255
        image.write_bytes(content)
    elif kind == "no image":
        image.write_text("<html>not found</html>")
    elif kind == "sixteen bits":
        write(image, "I;16")
    elif kind == "one class":
        for file in (folder / "dog").iterdir():
            file.rename(folder / "cat" / f"dog {file.name}")
    elif kind == "a rare class":
        write(folder / "fox" / "1.png")
    else:
        for file in folder.glob("*/*.png"):
            file.rename(file.with_suffix(".gif"))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("another size", r"must have one size, 5 x 4 as cat/00\.png, got '4 x 4 in dog/07\.png'; resize"),
        ("cut", r"must hold images that can be read .*got 'dog/07\.png'; remove the file"),
        ("broken inside", r"must hold images that can be read .*got 'dog/07\.png'"),
        ("no image", r"must hold images that can be read \(UnidentifiedImageError\), got 'dog/07\.png'"),
        ("sixteen bits", r"8 bits: dog/07\.png, got 'I;16'; save it again"),
        ("one class", "must hold at least two classes, got 'cat'"),
        ("a rare class", "needs at least 10 rows of every class, got 'fox: 1 row'"),
        ("none", "must hold images, one folder a class.*FOLDER/class/1.png"),
    ],
)
def test_a_folder_that_cannot_be_learned_from_is_refused_by_name(
    folder: Path, kind: str, message: str
) -> None:
    damage(folder, kind)
    with pytest.raises(DropkitError, match=message):
        load_data(folder)


def test_a_folder_that_does_not_fit_into_memory_is_refused_before_it_is_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_images, "MAX_BYTES", 1399)
    with pytest.raises(DropkitError, match="must fit into 1,399 bytes of pixels, got '1,400'"):
        load_data(folder)


def test_an_image_that_unpacks_to_far_too_much_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 19)
    with pytest.raises(DropkitError, match="DecompressionBomb"):
        load_data(folder)
