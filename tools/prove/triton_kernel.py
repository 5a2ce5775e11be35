"""Philox as Triton ships it, on whole addresses. Triton reads this file's source, so it stands alone."""

# mypy: ignore-errors
# ruff: noqa: D103 - a kernel has no doc of its own

import triton
import triton.language as tl


@triton.jit
def draw(counters, words, seed, count, BLOCK: tl.constexpr):
    row = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = row < count
    c0 = tl.load(counters + 4 * row, mask=inside).to(tl.uint32)
    c1 = tl.load(counters + 4 * row + 1, mask=inside).to(tl.uint32)
    c2 = tl.load(counters + 4 * row + 2, mask=inside).to(tl.uint32)
    c3 = tl.load(counters + 4 * row + 3, mask=inside).to(tl.uint32)
    w0, w1, w2, w3 = tl.philox(seed, c0, c1, c2, c3, n_rounds=7)
    tl.store(words + 4 * row, w0.to(tl.int64), mask=inside)
    tl.store(words + 4 * row + 1, w1.to(tl.int64), mask=inside)
    tl.store(words + 4 * row + 2, w2.to(tl.int64), mask=inside)
    tl.store(words + 4 * row + 3, w3.to(tl.int64), mask=inside)
