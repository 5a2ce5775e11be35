"""The loops in Triton: Philox by docs/address.md, and what its draws do to entries.

`tiles` serves groups that follow one another in memory: one counter decides about eight entries. `entries`
serves every other layout: each entry asks for its own group.
"""

# mypy: ignore-errors
# ruff: noqa: SIM108 - kernels are called by number, Triton has no conditional expressions of tensors

import triton
import triton.language as tl

TWO_POINT, GAUSSIAN, UNIFORM = (tl.constexpr(i) for i in range(3))
WIDE, WIDEST = tl.float32, tl.float64
_HIGH, _LOW, _SECOND = (tl.constexpr(i) for i in range(3))


@triton.jit
def _philox(block, lane: tl.constexpr, k0, k1, call, stream):
    """The four words of the blocks of a lane; block is int64."""
    c0 = block.to(tl.uint32)
    c1 = (block >> 32).to(tl.uint32) | (lane << 30)
    c2 = call + tl.zeros_like(c0)
    c3 = stream + tl.zeros_like(c0)
    m0 = tl.full((), 0xD2511F53, tl.uint32)
    m1 = tl.full((), 0xCD9E8D57, tl.uint32)
    w0 = tl.full((), 0x9E3779B9, tl.uint32)
    w1 = tl.full((), 0xBB67AE85, tl.uint32)
    for _ in tl.static_range(7):
        high0, high1 = tl.umulhi(c0, m0 + tl.zeros_like(c0)), tl.umulhi(c2, m1 + tl.zeros_like(c0))
        low0, low1 = c0 * m0, c2 * m1
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0 += w0
        k1 += w1
    return c0, c1, c2, c3


@triton.jit
def _key(key_at, FOLDED: tl.constexpr):
    word = tl.load(key_at)
    if FOLDED:
        call, stream = tl.load(key_at + 1).to(tl.uint32), tl.load(key_at + 2).to(tl.uint32)
    else:
        call, stream = tl.full((), 0, tl.uint32), tl.full((), 0, tl.uint32)
    return word.to(tl.uint32), (word >> 32).to(tl.uint32), call, stream


@triton.jit
def _word(w0, w1, w2, w3, number):
    return tl.where(number == 0, w0, tl.where(number == 1, w1, tl.where(number == 2, w2, w3)))


@triton.jit
def _standard(u, second, NOISE: tl.constexpr):
    """A draw of mean 0 and variance 1, in float64 as the reference computes it."""
    unit = (u.to(tl.float64) + 0.5) / 4294967296.0
    if NOISE == GAUSSIAN:
        turn = 6.283185307179586 * (second.to(tl.float64) / 4294967296.0)
        return tl.sqrt(-2.0 * tl.log(unit)) * tl.cos(turn)
    else:
        return 1.7320508075688772 * (2.0 * unit - 1.0)


@triton.jit
def _apply(x, gone, standard, scale, shift, fill, WIDE: tl.constexpr, NOISE: tl.constexpr):
    """What a draw does to entries; for continuous noises `scale` is the deviation and `shift` the mean."""
    wide = x.to(WIDE)
    if NOISE == TWO_POINT:
        y = tl.where(gone, fill.to(WIDE), wide * scale.to(WIDE) + shift.to(WIDE))
    else:
        m = shift + scale * standard
        y = (tl.where(m == 0.0, 0.0, wide.to(tl.float64)) * m).to(WIDE)
    return y.to(x.dtype)


@triton.jit
def _numbers(scale, shift, fill, affine_at, threshold_at, high, low, SCHEDULED: tl.constexpr):
    """The affine map in float64 and the threshold's halves: bits from the host, or memory on the device."""
    if SCHEDULED:
        threshold = tl.load(threshold_at)
        high, low = (threshold >> 16).to(tl.int32), (threshold & 0xFFFF).to(tl.int32)
        a, b, c = tl.load(affine_at), tl.load(affine_at + 1), tl.load(affine_at + 2)
    else:
        a = scale.to(tl.int64).to(tl.float64, bitcast=True)
        b = shift.to(tl.int64).to(tl.float64, bitcast=True)
        c = fill.to(tl.int64).to(tl.float64, bitcast=True)
    return a, b, c, high, low


@triton.jit
def _tie(word, high):
    return ((word & 0xFFFF).to(tl.int32) == high) | ((word >> 16).to(tl.int32) == high)


@triton.jit
def _fallen(word, other, high, low, half: tl.constexpr):
    upper = ((word >> (16 * half)) & 0xFFFF).to(tl.int32)
    lower = ((other >> (16 * half)) & 0xFFFF).to(tl.int32)
    return ((upper < high) | ((upper == high) & (lower < low))).to(tl.int32)


@triton.jit(do_not_specialize=["scale", "shift", "fill", "high", "low", "base"])
def tiles(
    x_at,
    out_at,
    key_at,
    affine_at,
    threshold_at,
    scale,
    shift,
    fill,
    high,
    low,
    base,
    count,
    FOLDED: tl.constexpr,
    SCHEDULED: tl.constexpr,
    WIDE: tl.constexpr,
    LARGE: tl.constexpr,
    ALIGNED: tl.constexpr,
    TILES: tl.constexpr,
):
    """Two-point noises: each counter packs its eight decisions into bits, which the entries then take."""
    k0, k1, call, stream = _key(key_at, FOLDED)
    a, b, c, high, low = _numbers(scale, shift, fill, affine_at, threshold_at, high, low, SCHEDULED)
    program = tl.program_id(0).to(tl.int64) if LARGE else tl.program_id(0)
    first = base.to(tl.int64) // 64 + program.to(tl.int64) * TILES
    block = 8 * (first + tl.arange(0, TILES)[:, None]) + tl.arange(0, 8)[None, :]
    h0, h1, h2, h3 = _philox(block, _HIGH, k0, k1, call, stream)
    l0, l1, l2, l3 = tl.zeros_like(h0), tl.zeros_like(h0), tl.zeros_like(h0), tl.zeros_like(h0)
    # The low halves decide on a tie alone, which most programs never see.
    tie = _tie(h0, high) | _tie(h1, high) | _tie(h2, high) | _tie(h3, high)
    if (low > 0) & (tl.max(tl.max(tie.to(tl.int32), 1), 0) > 0):
        l0, l1, l2, l3 = _philox(block, _LOW, k0, k1, call, stream)
    fallen = _fallen(h0, l0, high, low, 0) | _fallen(h0, l0, high, low, 1) << 1
    fallen |= _fallen(h1, l1, high, low, 0) << 2 | _fallen(h1, l1, high, low, 1) << 3
    fallen |= _fallen(h2, l2, high, low, 0) << 4 | _fallen(h2, l2, high, low, 1) << 5
    fallen |= _fallen(h3, l3, high, low, 0) << 6 | _fallen(h3, l3, high, low, 1) << 7
    tile = program * TILES + tl.arange(0, TILES)[:, None, None]
    half = tl.arange(0, 8)[None, :, None]
    here = 64 * tile + 8 * half + tl.arange(0, 8)[None, None, :]
    if not ALIGNED:
        here -= (base % 64).to(here.dtype)
    inside = here < count if ALIGNED else (here >= 0) & (here < count)
    x = tl.load(x_at + here, mask=inside)
    gone = ((fallen[:, None, :] >> half) & 1) != 0
    y = _apply(x, gone, 0.0, a, b, c, WIDE, TWO_POINT)
    tl.store(out_at + here, y, mask=inside)


@triton.jit(do_not_specialize=["scale", "shift", "fill", "base"])
def continuous_tiles(
    x_at,
    out_at,
    key_at,
    affine_at,
    threshold_at,
    scale,
    shift,
    fill,
    high,
    low,
    base,
    count,
    FOLDED: tl.constexpr,
    SCHEDULED: tl.constexpr,
    NOISE: tl.constexpr,
    WIDE: tl.constexpr,
    TILES: tl.constexpr,
):
    """Continuous noises: the eight entries of a counter one after another, each with its 32 bits."""
    k0, k1, call, stream = _key(key_at, FOLDED)
    a, b, c, high, low = _numbers(scale, shift, fill, affine_at, threshold_at, high, low, SCHEDULED)
    base = base.to(tl.int64)
    tile = tl.program_id(0).to(tl.int64) * TILES + tl.arange(0, TILES)[:, None]
    eight = tl.arange(0, 8)[None, :]
    block = 8 * (base // 64 + tile) + eight
    h0, h1, h2, h3 = _philox(block, _HIGH, k0, k1, call, stream)
    l0, l1, l2, l3 = _philox(block, _LOW, k0, k1, call, stream)
    block = 16 * (base // 64 + tile) + eight
    s0, s1, s2, s3 = _philox(block, _SECOND, k0, k1, call, stream)
    t0, t1, t2, t3 = _philox(block + 8, _SECOND, k0, k1, call, stream)
    at = 64 * tile + eight - base % 64
    for j in tl.static_range(8):
        here = at + 8 * j
        inside = (here >= 0) & (here < count)
        x = tl.load(x_at + here, mask=inside)
        upper = (_word(h0, h1, h2, h3, j // 2) >> (16 * (j % 2))) & 0xFFFF
        lower = (_word(l0, l1, l2, l3, j // 2) >> (16 * (j % 2))) & 0xFFFF
        if j < 4:
            second = _word(s0, s1, s2, s3, j)
        else:
            second = _word(t0, t1, t2, t3, j - 4)
        standard = _standard(upper << 16 | lower, second, NOISE)
        y = _apply(x, inside, standard, a, b, c, WIDE, NOISE)
        tl.store(out_at + here, y, mask=inside)


@triton.jit(do_not_specialize=["scale", "shift", "fill", "high", "low", "base"])
def entries(
    x_at,
    out_at,
    key_at,
    affine_at,
    threshold_at,
    scale,
    shift,
    fill,
    high,
    low,
    base,
    count,
    sizes,
    groups,
    steps,
    strides,
    FOLDED: tl.constexpr,
    SCHEDULED: tl.constexpr,
    NOISE: tl.constexpr,
    WIDE: tl.constexpr,
    AXES: tl.constexpr,
    LARGE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Sizes, and strides of groups, of x and of out, are a tuple each; LARGE asks for 64-bit places."""
    k0, k1, call, stream = _key(key_at, FOLDED)
    a, b, c, high, low = _numbers(scale, shift, fill, affine_at, threshold_at, high, low, SCHEDULED)
    program = tl.program_id(0).to(tl.int64) if LARGE else tl.program_id(0)
    rest = program * BLOCK + tl.arange(0, BLOCK)
    inside = rest < count
    group = base.to(tl.int64) + tl.zeros((BLOCK,), tl.int64)
    source, target = tl.zeros((BLOCK,), tl.int64), tl.zeros((BLOCK,), tl.int64)
    for k in tl.static_range(AXES - 1, -1, -1):
        index = (rest % sizes[k]).to(tl.int64)
        rest = rest // sizes[k]
        group += index * groups[k]
        source += index * steps[k]
        target += index * strides[k]
    block = 8 * (group // 64) + group % 8
    half = ((group % 64) // 8).to(tl.int32)
    w0, w1, w2, w3 = _philox(block, _HIGH, k0, k1, call, stream)
    upper = ((_word(w0, w1, w2, w3, half // 2) >> (16 * (half % 2)).to(tl.uint32)) & 0xFFFF).to(tl.int32)
    lower = tl.zeros_like(upper)
    if NOISE == TWO_POINT:
        drawn = (low > 0) & (tl.max((upper == high).to(tl.int32), 0) > 0)
    else:
        drawn = True
    if drawn:
        w0, w1, w2, w3 = _philox(block, _LOW, k0, k1, call, stream)
        lower = ((_word(w0, w1, w2, w3, half // 2) >> (16 * (half % 2)).to(tl.uint32)) & 0xFFFF).to(tl.int32)
    gone = (upper < high) | ((upper == high) & (lower < low))
    standard = 0.0
    if NOISE != TWO_POINT:
        block = 8 * (group // 32) + group % 8
        w0, w1, w2, w3 = _philox(block, _SECOND, k0, k1, call, stream)
        second = _word(w0, w1, w2, w3, ((group % 32) // 8).to(tl.int32))
        standard = _standard(upper.to(tl.uint32) << 16 | lower.to(tl.uint32), second, NOISE)
    x = tl.load(x_at + source, mask=inside)
    y = _apply(x, gone, standard, a, b, c, WIDE, NOISE)
    tl.store(out_at + target, y, mask=inside)
