"""The network of the article that dropkit comes from, its missing import mended, and one line changed.

Run: python examples/article_net.py
"""

import torch
import torch.nn.functional as F
from torch import nn

import dropkit


class Net(nn.Module):
    """784-512-10 with dropout behind the hidden activation, as the article prints it."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(784, 512)
        self.dropout = dropkit.torch.Dropout(0.2)  # the article: nn.Dropout(0.2)
        self.fc2 = nn.Linear(512, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Classify images of 28 x 28."""
        x = x.view(-1, 784)
        x = self.fc1(x)
        x = F.relu(x)
        x = self.dropout(x)
        x = self.fc2(x)
        return x


def main() -> None:
    """Show the three modes of one network."""
    torch.manual_seed(0)
    net, images = Net(), torch.rand(4, 1, 28, 28)

    net.train()
    print("train: two passes differ:", not torch.equal(net(images), net(images)))

    net.eval()
    print("eval:  two passes agree: ", torch.equal(net(images), net(images)))

    with dropkit.mode(net, "mc"):
        passes = torch.stack([net(images).softmax(-1) for _ in range(32)])
    print("mc:    spread of the first class over 32 passes:", f"{passes[:, 0, 0].std():.4f}")


if __name__ == "__main__":
    main()
