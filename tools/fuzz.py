"""Random calls of the native loops against the reference: `python -m tools.fuzz --cases 1000000`.

Case i of a seed is always the same: shape, memory layout, type, values (infinities and NaN among them),
noise, groups, rate (also the very draw of a group), window, key, threads, instruction set, in place or not,
forward or the gradient's map; or a fused form or attention against its plain composition. Two-point noises
must agree bit for bit, continuous ones within 32 units of float32, fused forms within 8 times the error
of plain code and within 4 times that or what one rounding of the inputs changes, attention within 8 times
the error of plain code. What failed is printed as a line that repeats it. One case is known to: the query
gradient of `--seed 2027 --case 9456` is 0, and 2.2e-5 comes out, as its terms cancel.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.progress import track

from dropkit import Drop, Key, Window
from dropkit.core import reference
from dropkit.core.mode import Scale
from dropkit.core.rate import ONE
from dropkit.core.reference import Arrays
from dropkit.torch import functional, fused, native
from dropkit.torch.attention_kernel import Settings, attended, plain
from dropkit.torch.run import Call, law_of, run

__all__ = ["Failure", "check"]

Tensor = torch.Tensor
NAMES = "abcd"
DTYPES = torch.float32, torch.float64, torch.bfloat16, torch.float16
NOISES = ("bernoulli",) * 4 + ("alpha", "gaussian", "uniform")
ODD = math.inf, -math.inf, math.nan, -0.0, 1e-40, 3e38
CONTINUOUS = "gaussian", "uniform"


class Failure(NamedTuple):
    """A case that the two do not agree on."""

    case: int
    what: str


class Random(random.Random):
    """The choices of one case."""

    def maybe(self, share: float) -> bool:
        """Toss a coin."""
        return self.random() < share

    def tensor(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Return numbers, some of them odd, in a random layout of memory."""
        generator = torch.Generator().manual_seed(self.getrandbits(32))
        order = self.sample(range(len(shape)), len(shape))
        if self.maybe(0.5):
            order.sort()
        steps = [self.choice([1, 1, 1, 2, 3]) for _ in shape] if self.maybe(0.3) else [1] * len(shape)
        sizes = [
            1 if self.maybe(0.05) else max(size * step, 1) for size, step in zip(shape, steps, strict=True)
        ]
        base = torch.randn([sizes[axis] for axis in order], generator=generator).to(dtype)
        for _ in range(self.choice([0, 0, 0, 5])):
            if base.numel():
                base.view(-1)[self.randrange(base.numel())] = self.choice(ODD)
        x = base.permute([order.index(axis) for axis in range(len(shape))])
        for axis, (size, step) in enumerate(zip(shape, steps, strict=True)):
            x = x.expand(*[size if i == axis else -1 for i in range(len(shape))]) if x.shape[axis] == 1 else x
            x = x[(slice(None),) * axis + (slice(0, size * step, step),)] if x.shape[axis] != size else x
        return x

    def shape(self) -> tuple[int, ...]:
        """Return up to four sizes; a few are large enough for threads."""
        if self.maybe(0.003):
            return self.choice([(self.randint(2**16, 2**18),), (300, self.randint(200, 600))])
        rank = self.choice([0, 1, 1, 2, 2, 3, 3, 4])
        most = {0: 1, 1: 700, 2: 40, 3: 12, 4: 7}[rank]
        return tuple(0 if self.maybe(0.01) else self.randint(1, most) for _ in range(rank))

    def groups(self, shape: tuple[int, ...]) -> tuple[str, dict[str, int]]:
        """Return a pattern for the shape, and what it leaves open."""
        names = list(NAMES[: len(shape)])
        if self.maybe(0.4):
            return self.choice(["...", "... -> "]), {}
        left = list(names)
        axis = self.randrange(len(names)) if names else 0
        if names and self.maybe(0.3) and shape[axis] % 2 == 0 and shape[axis]:
            left[axis], names = f"({names[axis]} z)", [*names, "z"]
            return f"{' '.join(left)} -> {' '.join(self.sample(names, self.randint(0, len(names))))}", {
                "z": 2
            }
        return f"{' '.join(left)} -> {' '.join(self.sample(names, self.randint(0, len(names))))}", {}

    def key(self) -> Key:
        """Return an address, often at an edge."""
        edge = self.maybe(0.1)
        return Key(2**64 - 1 if edge else self.getrandbits(64), self.choice([0, self.getrandbits(32)]), 3)


def check(seed: int, case: int) -> Failure | None:
    """Run one case; return what went wrong, if anything did."""
    choose = Random(f"{seed}/{case}")
    threads, before = choose.choice([1, 1, 2, 3]), torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with instructions(choose):
            kind = choose.choices([_dropped, _fused, _attention], [0.8, 0.1, 0.1])[0]
            found = kind(choose)
    finally:
        torch.set_num_threads(before)
    return None if found is None else Failure(case, found)


@contextmanager
def instructions(choose: Random) -> Iterator[None]:
    """Use a random instruction set of this machine."""
    native.use_instructions(choose.choice(native.instruction_sets()))
    native.use_fused(choose.choice(native.fused_sets()))
    native.use_attention(choose.choice(native.attention_sets()))
    try:
        yield
    finally:
        native.use_attention(native.attention_sets()[0])
        native.use_instructions(native.instruction_sets()[0])
        native.use_fused(native.fused_sets()[0])


def _dropped(choose: Random) -> str | None:
    shape, dtype, noise = choose.shape(), choose.choice(DTYPES), choose.choice(NOISES)
    pattern, sizes = choose.groups(shape)
    scale: Scale = choose.choice(["train", "train", "eval", "none"]) if noise == "bernoulli" else "train"
    key, window = choose.key(), Window() if sizes else _window(choose, shape)
    rate = _rate(choose, Drop.of(0.5, pattern, noise, scale, sizes), shape, key, window)
    drop = Drop.of(rate, pattern, noise, scale, sizes)
    x, linear = choose.tensor(shape, dtype), choose.maybe(0.3)
    inplace = choose.maybe(0.3) and 0 not in x.stride() and x.numel() > 0
    wide = x.clone().to(torch.promote_types(dtype, torch.float32))
    expected = reference.transform(
        wide, drop, key.words, rate, window=window, linear=linear, arrays=Arrays(torch)
    ).to(dtype)
    call = Call(law_of(drop, window), rate)
    y = run(x, key.words, call, linear=linear, inplace=inplace) if x.numel() else x
    told = f"{drop}, {dtype}, shape {shape}, strides {x.stride()}, {window}, {key}, {linear=}, {inplace=}"
    return None if _alike(y, expected, noise) else told


def _window(choose: Random, shape: tuple[int, ...]) -> Window:
    if not shape or not choose.maybe(0.3):
        return Window()
    start = tuple(choose.choice([0, choose.randrange(100), choose.randrange(2**20)]) for _ in shape)
    most = 2**62
    whole = []
    for begin, size in zip(start, shape, strict=True):
        whole.append(begin + size + choose.randrange(5))
        most //= max(whole[-1], 1)
    return Window(start, tuple(whole)) if most > 0 else Window()


def _rate(choose: Random, drop: Drop, shape: tuple[int, ...], key: Key, window: Window) -> float:
    if choose.maybe(0.3) and 0 not in shape:
        draws = reference._draws(drop, shape, key.words, window, Arrays(torch))
        u = draws.u.reshape(-1)
        tie = int(u[choose.randrange(u.numel())]) + choose.randrange(2)
        return tie / ONE
    return choose.choice([0.0, 1.0, 0.5, 2.0**-33, 1 - 2.0**-20, choose.random(), choose.random()])


def _alike(y: Tensor, expected: Tensor, noise: str) -> bool:
    zeros = (y == 0) & (expected == 0)
    if not bool((y.signbit() == expected.signbit())[zeros].all()):
        return False  # -0 == 0
    if noise not in CONTINUOUS:
        return bool(((y == expected) | (y.isnan() & expected.isnan())).all())
    tolerance = 32 * torch.finfo(torch.float32).eps
    half = torch.finfo(y.dtype).eps if y.dtype.itemsize == 2 else 0.0
    return torch.allclose(
        y.double(), expected.double(), rtol=tolerance + half, atol=tolerance, equal_nan=True
    )


def _fused(choose: Random) -> str | None:
    rows, columns = choose.randint(1, 40) if choose.maybe(0.95) else 2000, choose.randint(1, 70)
    dtype = choose.choice([torch.float32, torch.bfloat16, torch.float16])
    p, key = choose.choice([0.0, 1.0, choose.random()]), choose.key()
    name = choose.choice([*fused.ACTIVATIONS, "add", "norm"])
    generator = torch.Generator().manual_seed(choose.getrandbits(32))
    whole, vector = (rows, columns), (columns,)
    shapes: list[tuple[int, ...]] = [whole, whole if name == "add" else vector]
    shapes = [whole, whole, vector, vector] if name == "norm" else shapes
    inputs = [torch.randn(shape, generator=generator).to(dtype) for shape in shapes]
    ours, plain = _forms(name, p, key)
    eps, exact = torch.finfo(dtype).eps, _passes(plain, [x.double() for x in inputs])
    signs = [torch.randint(0, 2, x.shape, generator=generator).double() * 2 - 1 for x in inputs]
    moved = _passes(plain, [x.double() * (1 + eps * sign) for x, sign in zip(inputs, signs, strict=True)])
    forms = _passes(ours, inputs), _passes(plain, inputs), moved
    for mine, usual, other, right in zip(*forms, exact, strict=True):
        scale = float(right.abs().max())
        error, *bounds = (float((each.double() - right).abs().max()) for each in (mine, usual, other))
        # Plain code may be right by luck, where a rounding of the inputs alone would move the result further.
        most = min(8 * bounds[0], 4 * max(bounds))
        if not error <= most + 8 * eps * max(scale, 1.0):
            return f"{name}, {p=}, {dtype}, {rows} x {columns}, {key}: {error} against {max(bounds)}"
    return None


def _attention(choose: Random) -> str | None:
    batch, shared, heads = choose.randint(1, 2), choose.randint(1, 3), choose.randint(1, 3)
    queries, keys = choose.choice([1, choose.randint(1, 70)]), choose.choice([1, choose.randint(1, 300)])
    depth, value_depth = choose.randint(1, 40), choose.randint(1, 40)
    shapes = (
        (batch, queries, shared * heads, depth),
        (batch, keys, heads, depth),
        (batch, keys, heads, value_depth),
    )
    generator = torch.Generator().manual_seed(choose.getrandbits(32))
    inputs = [torch.randn(shape, generator=generator).transpose(1, 2) for shape in shapes]
    inputs = [x if choose.maybe(0.5) else x.contiguous() for x in inputs]
    p, key, causal = choose.choice([0.1, 1.0, choose.random()]), choose.key(), choose.maybe(0.3)
    mask = torch.randn(choose.choice([(queries, keys), (batch, 1, 1, keys)]), generator=generator)
    mask = mask > -1 if choose.maybe(0.5) else mask
    settings = Settings(depth**-0.5, causal, p, choose.maybe(0.3))
    seen = None if causal or choose.maybe(0.4) else mask.expand(batch, shared * heads, queries, keys)

    def ours(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return attended(q, k, v, seen, settings, {"key": key})

    def usual(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        bias = seen if seen is None or seen.dtype == torch.bool else seen.to(q.dtype)
        return plain(q, k, v, bias, settings, {"key": key})

    exact = _passes(usual, [x.double() for x in inputs])
    most = max(float(x.abs().max()) for x in inputs) ** 2 / (1 - p if p < 1 else 1)
    for mine, theirs, right in zip(_passes(ours, inputs), _passes(usual, inputs), exact, strict=True):
        error, bound = (float((each.double() - right).abs().max()) for each in (mine, theirs))
        # Sums that cancel leave the rounding of their terms.
        if not error <= 8 * bound + 2.0**-19 * most:
            told = (
                f"{[tuple(x.shape) for x in inputs]}, {settings}, mask {None if seen is None else seen.dtype}"
            )
            return f"attention, {told}, {key}: {error} against {bound}"
    return None


def _forms(name: str, p: float, key: Key) -> tuple[Callable[..., Tensor], Callable[..., Tensor]]:
    if name == "add":
        return (
            lambda x, r: fused.dropout_add(x, r, p, key=key),
            lambda x, r: r + functional.dropout(x, p, key=key),
        )
    if name == "norm":
        return (
            lambda x, r, w, b: fused.dropout_add_layer_norm(x, r, w, b, p, key=key),
            lambda x, r, w, b: F.layer_norm(r + functional.dropout(x, p, key=key), x.shape[-1:], w, b),
        )
    return (
        lambda x, b: fused.bias_act_dropout(x, b, p, name, key=key),
        lambda x, b: functional.dropout(fused.ACTIVATIONS[name](x + b), p, key=key),
    )


def _passes(form: Callable[..., Tensor], inputs: list[Tensor]) -> list[Tensor]:
    leaves = [x.clone().requires_grad_() for x in inputs]
    y = form(*leaves)
    grad = torch.linspace(-1, 1, y.numel()).view(y.shape).to(y.dtype)
    return [y.detach(), *torch.autograd.grad(y, leaves, grad)]


def main() -> int:
    """Return the exit code: 0 if all agreed, 1 if some did not, 130 if it was interrupted."""
    parser = argparse.ArgumentParser(prog="python -m tools.fuzz", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", type=int, default=10_000, help="how many")
    parser.add_argument("--seed", type=int, default=None, help="by default a fresh one, which is printed")
    parser.add_argument("--case", type=int, default=None, help="run this one case of the seed")
    options = parser.parse_args()
    if not native.AVAILABLE:
        parser.error("the native extension is missing: there is nothing to compare")
    seed = random.SystemRandom().randrange(2**32) if options.seed is None else options.seed
    cases = range(options.cases) if options.case is None else [options.case]
    print(f"seed {seed}, instruction sets {', '.join(native.instruction_sets())}")
    done, failures = 0, []
    try:
        for case in track(cases, "comparing", console=Console(stderr=True), update_period=0.5):
            failure = check(seed, case)
            done += 1
            if failure is not None:
                failures.append(failure)
                print(
                    f"python -m tools.fuzz --seed {seed} --case {failure.case}  # {failure.what}", flush=True
                )
    except KeyboardInterrupt:
        print(f"{done} cases, {len(failures)} failed")
        return 130
    print(f"{done} cases, {len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
