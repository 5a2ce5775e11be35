"""Study a model, a torch Dataset and a training step of your own, with times that the parts must respect.

Run: python examples/study_own_model.py
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer
from torch.utils.data import Dataset

import dropkit
from dropkit.experiments.families import UNREGULARISED
from dropkit.experiments.recipe import Recipe
from dropkit.report.plan import Arm

LENGTH = 8


class Waves(Dataset[tuple[Tensor, Tensor]]):
    """The last eight values of a noisy wave; the next one is to be predicted."""

    def __init__(self, count: int = 300) -> None:
        noise = torch.randn(count + LENGTH, generator=torch.Generator().manual_seed(0))
        self.values = torch.sin(0.3 * torch.arange(count + LENGTH)) + 0.2 * noise

    def __len__(self) -> int:
        return len(self.values) - LENGTH

    def __getitem__(self, at: int) -> tuple[Tensor, Tensor]:
        return self.values[at : at + LENGTH], self.values[at + LENGTH]


class Residual(nn.Module):
    """One hidden layer beside a straight line; dropout comes behind its activation."""

    def __init__(self, input_shape: tuple[int, ...], n_outputs: int) -> None:
        super().__init__()
        self.line = nn.Linear(input_shape[0], n_outputs)
        self.curve = nn.Sequential(nn.Linear(input_shape[0], 64), nn.ReLU(), nn.Linear(64, n_outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Predict the next value."""
        predicted: Tensor = self.line(x) + self.curve(x)
        return predicted


def step(model: nn.Module, batch: tuple[Tensor, Tensor], optimizer: Optimizer) -> Tensor:
    """One step of a plain loop, which outliers pull less."""
    optimizer.zero_grad()
    loss = F.smooth_l1_loss(model(batch[0]).squeeze(1), batch[1])
    torch.autograd.backward(loss)
    optimizer.step()
    return loss


def main() -> None:
    """Every network learns from the past and is judged on what comes after."""
    waves = Waves()
    result = dropkit.study(
        waves,
        time=range(len(waves)),
        model=Residual,
        recipe=Recipe(step=step),
        arms=(UNREGULARISED, Arm("dropout", "dropout", rate=0.2), Arm("decay", "decay", weight_decay=0.1)),
        pairs=6,  # a real study has 10 or more, and the arms that dropkit proposes
        epochs=20,
        workers=1,
        out="study-own-model",
        quiet=True,
    )
    print(*result.plan.notes, sep="\n")
    print(f"\n{result.verdict.headline}")


if __name__ == "__main__":
    main()
