import contextlib
import importlib
import os
from pathlib import Path

from hypothesis import settings

settings.register_profile("dev", deadline=None, max_examples=50)
settings.register_profile("ci", deadline=None, max_examples=200, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")

_SOURCES = Path(__file__).parent / "src"

VARIABLE = "DROPKIT_FRAMEWORK"
# Which files run in a process of their own for each framework; `tests/frameworks_test.py` starts them.
FRAMEWORKS = {
    "jax": ("arrays/jax*.py",),
    "tensorflow": ("arrays/tensorflow*.py", "arrays/unknown*.py"),
}


def files_of(framework: str) -> list[str]:
    """Return the files of a framework."""
    ours = _SOURCES / "dropkit"
    return sorted(str(path) for pattern in FRAMEWORKS[framework] for path in ours.glob(pattern))


# Runs by itself, with a library preloaded that fills the disk.
collect_ignore = ["tests/full_disk.py"]
_here = os.environ.get(VARIABLE)
_now = files_of(_here) if _here else []
collect_ignore += [path for framework in FRAMEWORKS for path in files_of(framework) if path not in _now]


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
