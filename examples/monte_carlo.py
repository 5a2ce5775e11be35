"""Monte Carlo dropout that is not silently wrong: BatchNorm stays in eval, hidden dropout really draws.

Run: python examples/monte_carlo.py
"""

import torch
from torch import nn

import dropkit


def main() -> None:
    """Ask a convolutional net and a Transformer how sure they are."""
    torch.manual_seed(0)
    convnet = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout2d(0.2), nn.Flatten(), nn.Linear(288, 3)
    ).eval()
    images = torch.rand(2, 1, 8, 8)
    before = {name: buffer.clone() for name, buffer in convnet.named_buffers()}
    with dropkit.mode(convnet, "mc"):
        passes = torch.stack([convnet(images) for _ in range(20)])
    stayed = all(buffer.equal(before[name]) for name, buffer in convnet.named_buffers())
    print(f"convnet: spread {passes.std(0).mean():.3f}, BatchNorm stayed as it was: {stayed}")

    # torch's fast path ignores dropout here: by hand, the usual recipe gives twenty equal passes.
    layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.1, batch_first=True).eval()
    tokens = torch.rand(2, 5, 16)
    with dropkit.mode(layer, "mc"), torch.no_grad():
        passes = torch.stack([layer(tokens) for _ in range(20)])
    print(f"encoder: spread {passes.std(0).mean():.3f}")


if __name__ == "__main__":
    main()
