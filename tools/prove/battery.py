"""Promise 2: the mask stream, not only the generator, goes through dieharder."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator

from tools.prove.proof import Measured, NotMeasured

__all__ = ["TESTS", "dieharder"]

_LAGS = 4  # a lag of n reads n + 1 times 400 MB: the lags beyond, up to 32, would read 220 GB more

TESTS: tuple[tuple[str, ...], ...] = (
    *(("-d", str(test)) for test in (0, 1, 2, 3, 4, 8, 9, 10, 11, 12, 13, 15, 16, 17, 100, 101)),
    ("-d", "102"),
    *(("-d", "200", "-n", str(bits)) for bits in range(1, 13)),
    *(("-d", "201", "-n", str(dimensions)) for dimensions in range(2, 6)),
    *(("-d", "202", "-n", str(length)) for length in range(2, 6)),
    *(("-d", "203", "-n", str(lag)) for lag in range(_LAGS + 1)),
    *(("-d", str(test)) for test in range(204, 210)),
)
"""All tests that dieharder itself rates "Good", the lagged sums up to a lag of 4."""


def dieharder(tests: tuple[tuple[str, ...], ...] = TESTS, seed: int = 2026) -> Measured:
    """Run each test on a fresh part of the stream: dieharder calls p < 1e-6 a failure, p < 0.005 weak."""
    if shutil.which("dieharder") is None:
        raise NotMeasured("dieharder is not installed (apt-get install dieharder)")
    verdicts: Counter[str] = Counter()
    failures, read = [], 0
    for i, test in enumerate(tests):
        output, taken = _one(test, seed + 1_000_000 * i)
        read += taken
        for name, verdict in _verdicts(output):
            verdicts[verdict] += 1
            failures += [name] if verdict == "FAILED" else []
    figure = (
        f"{sum(verdicts.values())} p-values of {len(tests)} dieharder runs on {read / 1e9:.1f} GB of bits: "
        f"{verdicts['PASSED']} passed, {verdicts['WEAK']} weak, {verdicts['FAILED']} failed"
    )
    return Measured(not failures, ": ".join([figure, *failures]))


def _one(test: tuple[str, ...], seed: int) -> tuple[str, int]:
    """Return what dieharder printed, and how many bytes it took."""
    command = [sys.executable, "-m", "tools.prove.mask_words", str(seed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as source:
        assert source.stdout is not None
        assert source.stderr is not None
        done = subprocess.run(
            ["dieharder", "-g", "200", *test], stdin=source.stdout, capture_output=True, text=True, check=True
        )
        source.stdout.close()  # only now the writer notices that nobody reads
        return done.stdout, int(source.stderr.read())


def _verdicts(output: str) -> Iterator[tuple[str, str]]:
    for line in output.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if cells[-1] in ("PASSED", "WEAK", "FAILED"):
            yield f"{cells[0]} {cells[1]} p={cells[4]}", cells[-1]
