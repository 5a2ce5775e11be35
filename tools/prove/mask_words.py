"""Write mask bits to standard output for ever: what dieharder reads.

Rate 1/2, one bit a group, eight to a byte in order. Every call has 2**24 groups; each call has its own key:
in turn another step and another neighbouring seed, which is what users have.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

import numpy as np

from dropkit import _native
from dropkit.core.key import Key

_GROUPS = 2**24
_HALF = 2**31  # the threshold of rate 1/2


def words(seed: int) -> Iterator[bytes]:
    """Yield the packed masks of one call after the other."""
    layout = _native.Layout((_GROUPS,), (1,))
    dropped = np.empty(_GROUPS, dtype=bool)
    for call in range(2**32):
        key = Key(seed + call // 2) if call % 2 else Key(seed).fold("step", call)
        _native.dropped(dropped, layout, *key.words, _HALF)
        yield np.packbits(dropped, bitorder="little").tobytes()


def main() -> None:
    """Write until the reader goes away, then say on standard error how many bytes it took."""
    written = 0
    with contextlib.suppress(BrokenPipeError):
        for data in words(int(sys.argv[1])):
            sys.stdout.buffer.write(data)
            written += len(data)
    print(written, file=sys.stderr)
    sys.stderr.flush()
    # The reader is gone: closing the stream again would only complain.
    sys.stdout = None


if __name__ == "__main__":
    main()
