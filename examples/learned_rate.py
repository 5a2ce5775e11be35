"""A rate that learns itself: Concrete dropout finds less to drop where there are more rows to learn from.

    python examples/learned_rate.py

The same network learns the same noisy line from 30 and from 3,000 rows.
"""

import torch
from torch import nn

from dropkit.torch import ConcreteDropout, parameter_groups, penalty


def rates_after_training(rows: int, steps: int = 400) -> list[float]:
    """Train on this many rows and return the rate of each layer."""
    torch.manual_seed(0)
    x = torch.linspace(-1, 1, rows)[:, None]
    y = x + 0.3 * torch.randn(rows, 1)
    model = nn.Sequential(
        ConcreteDropout(nn.Linear(1, 32), rows=rows, precision=10.0),
        nn.ReLU(),
        ConcreteDropout(nn.Linear(32, 1), rows=rows, precision=10.0),
    )
    # The rates are a group of their own: weight decay would pull them to one half.
    optimizer = torch.optim.Adam(parameter_groups(model, lr=0.01, weight_decay=0.0))
    for _ in range(steps):
        batch = torch.randint(rows, (32,))
        loss: torch.Tensor = nn.functional.mse_loss(model(x[batch]), y[batch]) + penalty(model)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # it is untyped
        optimizer.step()
    return [layer.p for layer in model if isinstance(layer, ConcreteDropout)]


if __name__ == "__main__":
    for rows in (30, 3000):
        found = ", ".join(f"{rate:.2f}" for rate in rates_after_training(rows))
        print(f"{rows:5} rows: rates {found}")
