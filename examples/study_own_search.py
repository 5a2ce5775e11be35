"""Search the space of a study with an Optuna run and a training loop of your own.

Run: python examples/study_own_search.py

Ray Tune takes the same space: `OptunaSearch(space=SPACE, metric="loss", mode="min")` gives each trial a
`config`, of which `FAMILY.arm("trial", config)` makes what `with_arm` puts into the model.
"""

import optuna
import torch
from torch import nn
from torch.nn import functional as F

import dropkit
from dropkit.experiments.families import families_for
from dropkit.experiments.search import distributions
from dropkit.experiments.sites import with_arm
from dropkit.report.plan import Arm, Plan


def make_model(input_shape: tuple[int, ...], n_outputs: int) -> nn.Module:
    """Two hidden activations, behind which dropout can stand."""
    width = input_shape[0]
    return nn.Sequential(
        nn.Linear(width, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, n_outputs)
    )


def train(arm: Arm, plan: Plan, x: torch.Tensor, y: torch.Tensor) -> float:
    """Whatever you do to a model; returns the loss on rows that it did not learn from."""
    torch.manual_seed(0)
    model = with_arm(make_model((8,), 2), arm, plan.model.sites)
    rate = arm.learning_rate or plan.training.learning_rate
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=arm.weight_decay)
    for _ in range(20):
        optimizer.zero_grad()
        loss = F.cross_entropy(model.train()(x[:150]), y[:150])
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        optimizer.step()
    with torch.no_grad():
        return float(F.cross_entropy(model.eval()(x[150:]), y[150:]))


def main() -> None:
    """Which families there are is read from a plan; each is a space by Optuna's names."""
    x = torch.randn(200, 8, generator=torch.Generator().manual_seed(0))
    y = (x[:, 0] + x[:, 1] > 0).long()
    data = (x.numpy(), y.numpy())
    plan = dropkit.study(data, model=make_model, dry_run=True, quiet=True, out="study-own-search").plan
    families = {family.name: family for family in families_for(plan.data, plan.model)}
    print("families:", ", ".join(families))

    family = families["dropout"]
    space = distributions(family, plan.training.learning_rate)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0))
    for number in range(8):
        trial = study.ask(space)
        study.tell(trial, train(family.arm(f"trial {number}", trial.params), plan, x, y))
    print("best of eight:", study.best_params)


if __name__ == "__main__":
    main()
