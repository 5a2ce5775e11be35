"""The plan of a study as a record: all that is decided before anything is spent."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from dropkit.report.messages import Note

__all__ = [
    "AS_BROUGHT",
    "Arm",
    "Data",
    "FIRST_SCREENING",
    "Job",
    "Model",
    "NONE",
    "Parts",
    "Plan",
    "Search",
    "Inference",
    "Training",
]

FIRST_SCREENING = 1000
"""Pairs from this number on are for searching settings, however many are compared on."""
NONE, AS_BROUGHT = "none", "as brought"
"""The two baselines: without any regulariser but with its own learning rate and decay, and untouched."""


@dataclass(frozen=True)
class Arm:
    """One setting that is tried: a member of a family. What is left at its default is not used.

    Args:
        name: in tables; `none` and `as brought` are the baselines.
        family: what it is a setting of.
        learning_rate: of AdamW; None for the one that the plan begins with.
        weight_decay: of AdamW, decoupled, 0 or more.
        rate: dropped behind hidden activations, in branches or behind embeddings, in [0, 1).
        method: the name of that dropout in the catalogue.
        at: the modules behind which it stands; empty for all that the plan names for the method.
        schedule: `constant`, `early` (the rate falls to 0 over the first half of the steps) or `late` (it is
            0 in the first half and the rate afterwards).
        input_rate: dropped at the input, in [0, 1); words are replaced by the unknown word.
        l1, l2: factor of the sum of absolute values, or of half the squares, of the weights in the loss.
        max_norm: the largest length of the incoming weights of a unit, or 0 for no limit.
        label_smoothing: share of the target that is spread over all classes, in [0, 1).
        augment: how far images are moved, as a share of their size, in [0, 1).
        r_drop: factor of the symmetric KL divergence between two passes (R-Drop), 0 or more.
        members: networks that are trained, each for its share of the epochs, and averaged; 1 or more.
        bagging: each member learns from rows drawn with replacement.
        share: of the training rows that are used, in (0, 1].
        keeps_own: the dropout that the model brings stays on.

    >>> Arm("dropout", "dropout", rate=0.5).place
    'hidden'
    """

    name: str
    family: str
    learning_rate: float | None = None
    weight_decay: float = 0.0
    rate: float = 0.0
    method: str = "dropout"
    at: tuple[str, ...] = ()
    schedule: str = "constant"
    input_rate: float = 0.0
    l1: float = 0.0
    l2: float = 0.0
    max_norm: float = 0.0
    label_smoothing: float = 0.0
    augment: float = 0.0
    r_drop: float = 0.0
    members: int = 1
    bagging: bool = False
    share: float = 1.0
    keeps_own: bool = False

    @property
    def place(self) -> str:
        """Where the arm drops: `none`, `hidden`, `input` or `input and hidden`."""
        places = [name for name, rate in (("input", self.input_rate), ("hidden", self.rate)) if rate]
        return " and ".join(places) or "none"


@dataclass(frozen=True)
class Job:
    """One run to be done: what an adapter to a cluster hands over, and gets a `Run` for.

    Args:
        id: hash of all that its scores depend on.
        arm: the setting.
        pair: the number of the (split, seed), from 0; those from FIRST_SCREENING on are for searching.
        until: the epoch after which it pauses, to be pruned or gone on with; 0 for its end.
        keep: whether its weights are kept for the sealed part.
        trial: the same hash without `until`: what a pause and its end have in common.
    """

    id: str
    arm: Arm
    pair: int
    until: int = 0
    keep: bool = False
    trial: str = ""


@dataclass(frozen=True)
class Data:
    """What is learned from. `guess_error` is that of always saying the commonest class or the mean.

    `n_words` lies above every input where these are numbers of words (0 padding, 1 unknown), else it is 0.
    """

    name: str
    digest: str
    task: str
    rows: int
    input_shape: tuple[int, ...]
    n_outputs: int
    guess_error: float
    class_weight: str = "none"
    n_words: int = 0


@dataclass(frozen=True)
class Model:
    """What is trained.

    `sites` names, for each method that is tried inside the model, the modules behind which it can stand;
    `own_dropout` the dropout modules that the model brings; `random_modes` the modes in which its outputs
    change from pass to pass though these are off; `pieces` what of its training is the user's own, by
    `loss`, `optimizer`, `step` and `metric`.
    """

    name: str
    digest: str
    sites: dict[str, tuple[str, ...]]
    own_dropout: tuple[str, ...] = ()
    random_modes: tuple[str, ...] = ()
    pieces: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Parts:
    """Rows of the four parts, and what is shared.

    `test` is sealed and the same for all pairs; the others are drawn for every pair. `design` is `disjoint`
    (no row in two pairs), `resampled` (pairs share rows) or `seeds` (all pairs have one split). `overlap` is
    what shared rows add to the variance of a mean difference: select rows (under groups their mean) /
    training rows for `resampled`, else 0. `fresh` says that no row on which arms are compared was seen while
    settings were searched.
    """

    train: int
    stop: int
    select: int
    test: int
    design: str
    overlap: float
    fresh: bool


@dataclass(frozen=True)
class Training:
    """How every network is trained: AdamW in batches, and the weights that are best on the stop part kept.

    The stop part is looked at `checks` times; after `patience` looks without a gain training ends.
    """

    epochs: int
    checks: int
    patience: int
    batch: int
    learning_rate: float


@dataclass(frozen=True)
class Search:
    """How settings are found: `trials` for each family, in rounds, on `splits` splits of their own.

    With `prune`, trials pause after half of their epochs, and within its family the worse half of a round
    ends there. At most `finalists` families are compared with the baselines. `space` is what is searched in
    each family, as JSON that `optuna.distributions.json_to_distribution` reads.
    """

    families: tuple[str, ...]
    trials: int
    round: int
    splits: int
    finalists: int
    prune: bool
    space: dict[str, dict[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Inference:
    """How the finalists are compared with none.

    `name` is that of a metric of the user's own, which then stands in the place of the error.
    `margin` is a share: points of error for a classification, of none's value otherwise (see `margin_of`);
    None if it is off.
    `detectable` is in standard deviations of the paired difference, and `floor` is what it would be with
    endlessly many pairs (0 where no row is shared). `looks` is how often the comparison may end early, 1 for
    at the end alone.
    """

    metric: str
    margin: float | None
    pairs: int
    looks: int
    alpha: float
    power: float
    comparisons: int
    detectable: float
    floor: float
    name: str = ""


@dataclass(frozen=True)
class Plan:
    """All that is decided before anything is spent. `fingerprint` is the hash under which it is registered.

    `estimate` is about how many seconds of wall clock it takes at most, as measured here; the hash leaves it
    out.
    `arms` are those that the user wants compared, without a search; empty where settings are searched for.
    """

    data: Data
    model: Model
    parts: Parts
    training: Training
    search: Search
    tests: Inference
    seed: int
    versions: dict[str, str]
    arms: tuple[Arm, ...] = ()
    notes: tuple[Note, ...] = ()
    fingerprint: str = ""
    estimate: float = field(default=0.0, compare=False)

    @property
    def unit(self) -> str:
        """Of an error: per cent of the rows for a classification, else that of the target."""
        return "%" if self.data.task == "classification" and not self.tests.name else ""

    @property
    def metrics(self) -> tuple[str, str]:
        """The two scores that are tested, the primary one first."""
        return ("error", "nll") if self.tests.metric == "error" else ("nll", "error")

    @property
    def room(self) -> int | None:
        """How many pairs that share no row these data hold; None where pairs share rows or have one split."""
        if self.parts.design != "disjoint":
            return None
        return (self.data.rows - self.parts.test) // (self.parts.train + self.parts.stop + self.parts.select)

    def margin_of(self, metric: str, none: float) -> float | None:
        """The margin of equivalence in units of a score, where `none` is the mean score without any family.

        The zero of a regression's NLL moves with the units of the target, so no share of it means anything:
        there it is log(1 + margin), which is what an RMSE larger by the margin adds to the NLL. None where it
        is off, and where a share of a score that is not above 0 is asked for.
        """
        margin = self.tests.margin
        if margin is None:
            return None
        if metric == "nll" and self.data.task != "classification":
            return math.log1p(margin)
        if metric == "error" and self.unit == "%":
            return margin
        return margin * none if none > 0 else None

    def screens(self, pair: int) -> bool:
        """Whether a pair is for searching settings, so that it is never part of a comparison."""
        return pair >= FIRST_SCREENING
