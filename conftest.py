import contextlib
import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import settings

settings.register_profile("dev", deadline=None, max_examples=50)
settings.register_profile("ci", deadline=None, max_examples=200, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")

_ROOT = Path(__file__).parent
_SOURCES = _ROOT / "src"

VARIABLE = "DROPKIT_FRAMEWORK"
# Which files run in a process of their own for each framework; `tests/frameworks_test.py` starts them.
FRAMEWORKS = {
    "jax": ("src/dropkit/arrays/jax*.py", "benchmarks/jax_arrays.py"),
    "tensorflow": (
        "src/dropkit/arrays/tensorflow*.py",
        "src/dropkit/arrays/unknown*.py",
        "benchmarks/tensorflow_arrays.py",
    ),
}
# Keras takes one backend a process.
FRAMEWORKS |= {
    f"keras-{backend}": ("src/dropkit/keras/*.py", "benchmarks/keras_layers.py")
    for backend in ("tensorflow", "jax", "torch")
}


def files_of(framework: str) -> list[str]:
    """Return the files of a framework."""
    return sorted(str(path) for pattern in FRAMEWORKS[framework] for path in _ROOT.glob(pattern))


_here = os.environ.get(VARIABLE)
_now = files_of(_here) if _here else []
# The first runs by itself, with a library preloaded that fills the disk.
collect_ignore = ["tests/full_disk.py"]
collect_ignore += [path for framework in FRAMEWORKS for path in files_of(framework) if path not in _now]
if _here and "-" in _here:
    os.environ["KERAS_BACKEND"] = _here.partition("-")[2]
if not _here:
    # TensorBoard is told so not to load TensorFlow, whose LLVM and Triton's do not live in one process.
    sys.modules["tensorboard.compat.notf"] = ModuleType("notf")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that take minutes: at the end one worker would do them while the others wait."""
    items.sort(key=lambda item: "frameworks_test" not in item.nodeid)


def pytest_collect_file(file_path: Path) -> None:
    """Import the package of a file before pytest reads the doctests of the file.

    pytest asks first whether the module is there, then imports its package, and then runs the module. Where
    the package imports the module itself, it would be there twice: its classes would not be those that the
    package offers, and pickle would refuse them.
    """
    if file_path.suffix == ".py" and file_path.is_relative_to(_SOURCES):
        # What is missing is told where the file is collected.
        with contextlib.suppress(ImportError):
            importlib.import_module(".".join(file_path.relative_to(_SOURCES).parent.parts))


@pytest.fixture(params=["native", "twin"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The native loops, and the plain operations that serve without them."""
    from dropkit.torch import native, run  # most frameworks' processes have no use for it

    if request.param == "native" and not native.AVAILABLE:
        pytest.skip("built without a C++ compiler")
    monkeypatch.setattr(native, "AVAILABLE", request.param == "native")
    run._loop.cache_clear()
    yield request.param
    run._loop.cache_clear()
