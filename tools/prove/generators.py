"""Promise 1: the generator is the published Philox4x32, and every framework draws the same words."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from dropkit import _native
from dropkit.core.philox import philox4x32
from tools.prove.proof import Measured, NotMeasured

__all__ = ["FRAMEWORKS", "KNOWN", "addresses", "framework", "known_answers", "native"]

Words = tuple[int, ...]

_ONES = 0xFFFFFFFF
_PI = (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0)

KNOWN: tuple[tuple[int, Words, Words, Words], ...] = (
    (7, (0,) * 4, (0,) * 2, (0x5F6FB709, 0x0D893F64, 0x4F121F81, 0x4F730A48)),
    (7, (_ONES,) * 4, (_ONES,) * 2, (0x5207DDC2, 0x45165E59, 0x4D8EE751, 0x8C52F662)),
    (7, *_PI, (0x4DFCCABA, 0x190A87F0, 0xC47362BA, 0xB6B5242A)),
    (10, (0,) * 4, (0,) * 2, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    (10, (_ONES,) * 4, (_ONES,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (10, *_PI, (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
)
"""Random123's kat_vectors for philox4x32: rounds, counter, key, words."""

FRAMEWORKS = {
    "JAX": "jax==0.10.2",
    "TensorFlow": "tensorflow-cpu==2.21.0",
    "Triton's interpreter": "triton==3.9.0",
}
"""What runs in an environment of its own, and the package that it needs there."""

_SEED = 1_611


def known_answers() -> Measured:
    """Compare Python and C++ with the authors' six vectors."""
    right = 0
    for rounds, counter, key, words in KNOWN:
        native_words = np.array([counter], np.uint32)
        _native.philox4x32(native_words, key[0] | key[1] << 32, rounds)
        right += philox4x32(counter, key, rounds) == words  # type: ignore[arg-type]  # four and two words each
        right += tuple(native_words[0].tolist()) == words
    return Measured(
        right == 2 * len(KNOWN), f"{right} of {2 * len(KNOWN)} known answers (Python and C++, six each)"
    )


def addresses(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return random counters `(count, 4)`, a random key `(2,)`, and the words that Python draws for them."""
    random = np.random.default_rng(_SEED)
    counters = random.integers(0, 2**32, (count, 4), dtype=np.int64)
    key = random.integers(0, 2**32, 2, dtype=np.int64)
    words = philox4x32(tuple(counters.T), tuple(key))
    return counters, key, np.stack(words, 1)


def native(count: int = 1_000_000) -> Measured:
    """Compare C++ with Python."""
    counters, key, expected = addresses(count)
    words = counters.astype(np.uint32)
    _native.philox4x32(words, int(key[0]) | int(key[1]) << 32, 7)
    return _compared("C++", words, expected)


def framework(name: str, folder: Path, count: int = 1_000_000) -> Measured:
    """Compare a framework with Python; it runs in an environment of its own below `folder`."""
    python = _environment(folder / "venv")
    counters, key, expected = addresses(count)
    np.savez(folder / "addresses.npz", counters=counters, key=key)
    path = os.pathsep.join(("src", "."))
    done = subprocess.run(
        [python, "-m", "tools.prove.frameworks", name, str(folder)],
        env={**os.environ, "PYTHONPATH": path, "TRITON_INTERPRET": "1", "JAX_ENABLE_X64": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise NotMeasured(done.stderr.strip().splitlines()[-1])
    return _compared(f"{name} ({FRAMEWORKS[name]})", np.load(folder / "words.npy"), expected)


def _compared(name: str, words: np.ndarray, expected: np.ndarray) -> Measured:
    differing = int((words != expected).any(axis=1).sum())
    return Measured(
        differing == 0, f"{name}: {differing} of {len(expected):,} random addresses differ from Python"
    )


def _environment(folder: Path) -> Path:
    """Make the environment at the first call: its own packages first, then those of this one (torch)."""
    python = (folder / "bin" / "python").absolute()
    marker = folder / ".ready"
    if not marker.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pip = [
            str(python),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            *FRAMEWORKS.values(),
        ]
        if subprocess.run(pip, capture_output=True, check=False).returncode:
            raise NotMeasured(f"pip could not install {', '.join(FRAMEWORKS.values())}")
        ours = next(path for path in sys.path if path.endswith("site-packages"))
        next(folder.glob("lib/*/site-packages")).joinpath("zz_ours.pth").write_text(f"{ours}\n")
        marker.touch()
    return python
