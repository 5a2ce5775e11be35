"""How many mechanisms the catalogue has, and what they cost: `python -m tools.mechanisms`.

Two methods are one mechanism where the law of the mask, the gradient and the loss agree after renaming axes.
A scale that is only moved to evaluation or left out makes none, and neither do a site, a schedule or a mean
over several passes. What takes the place of a dropped entry does where it is more than a constant: a previous
state, a pretrained weight, a learned null. For methods that a `Drop` describes that is measured, under one
key. The others are a mechanism of their own unless their record says whose variant they are.
"""

from __future__ import annotations

import hashlib
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from dropkit.core.drop import Drop
from dropkit.core.groups import Groups, KofN, Pattern
from dropkit.core.method import Method
from dropkit.core.reference import apply
from dropkit.methods import catalogue
from dropkit.testing import shapes_for

__all__ = ["cost", "groups", "tier"]

_SOURCE = Path(__file__).parents[1] / "src" / "dropkit"
_RATE, _KEY = 0.3, 7


def main() -> int:
    """Print the mechanisms with their methods, and the lines of code of each tier."""
    found = groups(catalogue().values())
    for first, *others in found:
        print(f"{first.name}" + (f": {', '.join(each.name for each in others)}" if others else ""))
    print(f"\n{len(catalogue())} records, {len(found)} distinct mechanisms\n")
    print("tier         methods   lines of code in all   median")
    for name, lines in sorted(cost(catalogue().values()).items()):
        print(f"{name:12} {len(lines):7} {sum(lines):22} {statistics.median(lines):8g}")
    return 0


def groups(methods: Iterable[Method]) -> list[list[Method]]:
    """Return the methods by mechanism, the oldest first."""
    found: dict[str, list[Method]] = defaultdict(list)
    known = {method.name: method for method in methods}
    for method in known.values():
        found[_mechanism(known.get(method.variant_of, method))].append(method)
    oldest = (sorted(same, key=lambda m: (bool(m.variant_of), m.paper.year)) for same in found.values())
    return sorted(oldest, key=lambda same: same[0].name)


def tier(method: Method) -> str:
    """Return what a method needs: nothing new, a description, or code that decides by itself."""
    if method.variant_of:
        return "variant"
    if method.describe is None:
        return "adaptive"
    drop = method.drop()
    plain = isinstance(drop.groups, Pattern) and drop.noise.name == "bernoulli"
    return "pure" if plain else "shaped"


def cost(methods: Iterable[Method]) -> dict[str, list[int]]:
    """Return the lines of code of each method by tier: its record and its layer, without empty lines."""
    lines: dict[str, list[int]] = defaultdict(list)
    for method in methods:
        files = _SOURCE / "methods", _SOURCE / "torch" / "methods"
        lines[tier(method)].append(sum(_lines(folder / f"{method.name}.py") for folder in files))
    return lines


def _lines(path: Path) -> int:
    return sum(bool(line.strip()) for line in path.read_text().splitlines()) if path.exists() else 0


def _mechanism(method: Method) -> str:
    if method.describe is None:
        return method.name
    drop = method.drop() if isinstance(method.drop().groups, KofN) else method.drop(rate=_RATE)
    return _fingerprint(drop) + method.instead


def _fingerprint(drop: Drop) -> str:
    """Digest the output in training, whose factor the gradient is, with the scale in its usual place."""
    drop = replace(drop, groups=_renamed(drop.groups), scale="train")
    output = apply(np.ones(shapes_for(drop.groups).base), drop, _KEY, "train")
    return hashlib.sha256(np.ascontiguousarray(output).tobytes()).hexdigest()


def _renamed(groups: Groups) -> Groups:
    """Call axes with coins of their own g and those that share s: names and order are words."""
    if not isinstance(groups, Pattern):
        return groups
    strides = groups.layout(shapes_for(groups).base).strides
    own, shared = (any(bool(stride) == kind for stride in strides) for kind in (True, False))
    return Pattern(" ".join(["g"] * own + ["s"] * shared) + " -> " + "g" * own)


if __name__ == "__main__":
    sys.exit(main())
