"""Study the module of a skorch net, trained by its criterion and its optimizer.

Run: python examples/study_skorch.py
"""

from typing import Any

import skorch
import torch
from sklearn.datasets import load_wine
from torch import Tensor, nn

import dropkit
from dropkit.experiments.loops import from_skorch
from dropkit.report.plan import Arm


class Wines(nn.Module):
    """Thirteen measurements, three growers, and probabilities as skorch expects them."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(13, width), nn.ReLU(), nn.Linear(width, 3), nn.Softmax(dim=1))

    def forward(self, x: Tensor) -> Any:
        """Three probabilities."""
        return self.net(x)


def main() -> None:
    """Dropout against weight decay."""
    net = skorch.NeuralNetClassifier(Wines, module__width=64, optimizer=torch.optim.Adam, lr=0.01)
    model, recipe = from_skorch(net)
    result = dropkit.study(
        load_wine(return_X_y=True),
        model=model,
        recipe=recipe,
        arms=(
            Arm("none", "none"),
            Arm("dropout 0.3", "dropout", rate=0.3),
            Arm("decay 0.01", "weight decay", weight_decay=0.01),
        ),
        pairs=6,  # a real study has 10 or more, and searches its settings itself
        epochs=10,
        workers=1,
        out="study-skorch",
        quiet=True,
    )
    print(result.verdict.headline)


if __name__ == "__main__":
    main()
