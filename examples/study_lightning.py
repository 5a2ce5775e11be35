"""Study a LightningModule, trained by its own training step and optimizer.

Run: python examples/study_lightning.py
"""

from typing import Any

import lightning.pytorch as pl
import torch
from sklearn.datasets import make_moons
from torch import Tensor, nn
from torch.nn import functional as F

import dropkit
from dropkit.experiments.loops import from_lightning
from dropkit.report.plan import Arm


class Moons(pl.LightningModule):
    """A network as its author trains it, with a dropout of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 2))

    def forward(self, x: Tensor) -> Any:
        """Two logits."""
        return self.net(x)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Any:
        """Cross-entropy, logged."""
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        self.log("train_loss", loss)
        return loss

    def configure_optimizers(self) -> Any:
        """Its own choice."""
        return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)


def main() -> None:
    """The dropout that it brings, another one, and none."""
    model, recipe = from_lightning(Moons)
    result = dropkit.study(
        make_moons(300, noise=0.3, random_state=0),
        model=model,
        recipe=recipe,
        arms=(
            Arm("none", "none"),
            Arm("as brought", "own dropout", keeps_own=True),
            Arm("dropout 0.5", "dropout", rate=0.5),
        ),
        pairs=6,  # a real study has 10 or more, and searches its settings itself
        epochs=10,
        workers=1,
        out="study-lightning",
        quiet=True,
    )
    print(result.verdict.headline)


if __name__ == "__main__":
    main()
