"""One function, every geometry: the pattern says which entries share a coin.

Run: python examples/patterns.py
"""

import numpy as np

import dropkit

IMAGES = np.ones((2, 4, 6, 6), "float32")
TEXT = np.ones((2, 5, 8), "float32")
KEY = 42

USES = {
    "dropout: every entry": (IMAGES, "..."),
    "spatial dropout: a channel of an image": (IMAGES, "b c h w -> b c"),
    "stochastic depth: a whole sample": (IMAGES, "b ... -> b"),
    "layer drop: the whole batch": (IMAGES, "... -> "),
    "locked dropout: a feature, at all times": (TEXT, "b t d -> b d"),
    "token dropout: a token": (TEXT, "b t d -> b t"),
    "head dropout: 4 heads of 2 features": (TEXT, "b t (h 2) -> b h"),
    "DropBlock: squares of 3 x 3": (IMAGES, dropkit.Blocks(3, over="h w")),
    "exactly 2 of the 5 tokens": (TEXT, dropkit.KofN(2, over="t", pattern="b t d -> b t")),
}


def main() -> None:
    """Drop with each geometry and show how much went."""
    for use, (x, groups) in USES.items():
        rate = None if isinstance(groups, dropkit.KofN) else 0.3
        y = dropkit.drop(x, rate, groups, key=KEY)
        print(f"{use:42} {np.mean(y == 0):5.0%} dropped, mean {y.mean():.2f}")


if __name__ == "__main__":
    main()
