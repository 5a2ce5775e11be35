"""Dropout that moves: on early, then off; its state is saved with the model.

Run: python examples/early_dropout.py
"""

import torch
from torch import nn

import dropkit


def main() -> None:
    """Train a few steps and watch the rate."""
    torch.manual_seed(0)
    rate = dropkit.early_schedule(0.5, steps=3)
    model = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), dropkit.torch.Dropout(rate), nn.Linear(32, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = dropkit.torch.Stepper(model)
    for step in range(6):
        x = torch.randn(64, 4)
        loss = (model(x).squeeze(1) - x.sum(1)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {step}: rate {model[2].p}, loss {loss.item():.2f}")
        schedule.step()


if __name__ == "__main__":
    main()
