"""A mask is an address: the same key gives it on NumPy and on torch, whole or in parts, now or a week later.

Run: python examples/same_mask_everywhere.py
"""

import numpy as np
import torch

import dropkit


def main() -> None:
    """Compare masks that never met."""
    key = dropkit.Key(2024).fold("encoder.block3", 17)  # the stream of a layer, at step 17
    x = torch.randn(8, 16)

    on_torch = dropkit.drop(x, 0.4, key=key)
    on_numpy = dropkit.drop(x.numpy(), 0.4, key=key)
    print("torch and NumPy agree:     ", np.array_equal(on_torch.numpy(), on_numpy))

    halves = [dropkit.drop(x[i : i + 4], 0.4, key=key, window=dropkit.Window((i,))) for i in (0, 4)]
    print("two halves make the whole: ", torch.equal(torch.cat(halves), on_torch))

    replayed = dropkit.mask(key, (8, 16), dropkit.Drop(0.4))
    print("the mask can be replayed:  ", np.array_equal(replayed == 0, on_numpy == 0))


if __name__ == "__main__":
    main()
