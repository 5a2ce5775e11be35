"""Kept weights: what the sealed part is read with, and what the user takes home."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from dropkit.core.check import DropkitError
from dropkit.experiments.course import restore, snapshot
from dropkit.experiments.dataset import Rows
from dropkit.experiments.models import ModelSource, materialise
from dropkit.experiments.randomness import one_thread, seeded
from dropkit.experiments.scoring import Target, outputs_of
from dropkit.experiments.sites import with_arm
from dropkit.experiments.tensor_file import TornFileError, read_tensors, write_tensors
from dropkit.report.plan import Arm, Job, Plan

__all__ = ["Kept", "keep_weights", "load_weights", "predict", "read_kept", "weights_path"]


@dataclass(frozen=True)
class Kept:
    """The weights of each network of a run, how its outputs become values, and which run that is."""

    members: tuple[dict[str, Tensor], ...]
    target: Target
    run: str


def weights_path(folder: Path, job: Job) -> Path:
    """Where the weights of a job are kept.

    >>> weights_path(Path("out"), Job("a", Arm("none", "none"), 0)).as_posix()
    'out/weights/a.safetensors'
    """
    return folder / "weights" / f"{job.id}.safetensors"


def keep_weights(path: Path, models: Sequence[nn.Module], target: Target) -> None:
    """Write the weights of a run, whole or not at all: `0.NAME` for its first network, and so on.

    Raises:
        DropkitError: the folder can no longer be written.
    """
    tensors = {
        f"{number}.{name}": value
        for number, model in enumerate(models)
        for name, value in snapshot(model).items()
    }
    facts = {"run": path.stem, "members": str(len(models)), "target": json.dumps(asdict(target))}
    try:
        write_tensors(path, {name: value.to_dense() for name, value in tensors.items()}, facts)
    except OSError as error:
        rule = f"can no longer be written ({error.strerror}); finished runs are kept"
        raise DropkitError("out", rule, str(path), "make room and repeat the command") from error


def read_kept(path: Path) -> Kept:
    """The kept weights of a run.

    Raises:
        DropkitError: the file is not there, or not what was written.
    """
    try:
        tensors, facts = read_tensors(path)
        members = tuple({} for _ in range(int(facts["members"])))  # type: tuple[dict[str, Tensor], ...]
        for name, value in tensors.items():
            number, _, rest = name.partition(".")
            members[int(number)][rest] = value
        return Kept(members, Target(**json.loads(facts["target"])), facts["run"])
    except (TornFileError, KeyError) as error:
        mend = "remove the file and repeat the command, which trains this run again"
        raise DropkitError("out", f"must hold kept weights as written ({error})", str(path), mend) from error


def load_weights(model: nn.Module, path: str | Path, member: int = 0) -> Target:
    """Put the kept weights of a network into a model of one's own, in place.

    Args:
        model: made as the study's, with the dropout that the code to paste puts in.
        path: of the file, `model.safetensors` in the folder of a study.
        member: which network of an ensemble, from 0.

    Returns:
        Target: how outputs of a regression become values: `unit * output + centre`.

    Raises:
        DropkitError: the file is not there, torn, or of another model, or has no such network.

    >>> from tempfile import mkdtemp
    >>> file = Path(mkdtemp()) / "model.safetensors"
    >>> keep_weights(file, [nn.Linear(2, 1)], Target(centre=5.0))
    >>> load_weights(nn.Linear(2, 1), file).centre
    5.0
    """
    kept = read_kept(Path(path))
    if not 0 <= member < len(kept.members):
        rule = f"is a network of the {len(kept.members)} that the file holds, from 0"
        raise DropkitError("member", rule, member, "the first is 0")
    _restore(model, kept.members[member], Path(path), "run the code to paste of report.html on it before")
    return kept.target


def predict(plan: Plan, arm: Arm, source: ModelSource, path: Path, x: Rows) -> Tensor:
    """What the kept networks of a run give for rows, in eval mode and as they were scored in training.

    Args:
        plan: of the study.
        arm: of the run.
        source: of the model.
        path: of the kept weights.
        x: encoded rows (rows, *input_shape), float32, or int64 where they are numbers of words.

    Returns:
        Tensor: (rows, n_outputs), float32: logits or log-probabilities; for a regression in the units that
            `read_kept(path).target` turns back.

    Raises:
        DropkitError: the file is not there, torn, or of another model.
    """
    kept = read_kept(path)
    with one_thread(), seeded(0):
        models = [_rebuilt(plan, arm, source, values, path) for values in kept.members]
        return outputs_of(models, torch.from_numpy(x), plan.data.task)


def _rebuilt(plan: Plan, arm: Arm, source: ModelSource, values: dict[str, Tensor], path: Path) -> nn.Module:
    shape, words = plan.data.input_shape, plan.data.n_words
    model = materialise(source.build(shape, plan.data.n_outputs, words), shape, words)
    model = with_arm(model, arm, plan.model.sites, words=words > 0)
    _restore(model, values, path, "open it with the arm and the model that it was trained as")
    return model


def _restore(model: nn.Module, values: dict[str, Tensor], path: Path, mend: str) -> None:
    try:
        restore(model, values)
    except ValueError as error:
        raise DropkitError("out", "must hold the weights of this model", str(path), mend) from error
