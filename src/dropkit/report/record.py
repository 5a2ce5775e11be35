"""The records of a study: frozen data that runs produce and that pages, tables and JSON are drawn from."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

__all__ = [
    "AS_BROUGHT",
    "FIRST_SCREENING",
    "BETTER",
    "EQUIVALENT",
    "NONE",
    "NO_BETTER",
    "OPEN",
    "SCHEMA",
    "Arm",
    "ArmSummary",
    "Calibration",
    "Comparison",
    "Data",
    "Family",
    "Fit",
    "Job",
    "Model",
    "Parts",
    "Plan",
    "Point",
    "Run",
    "Scores",
    "Sealed",
    "Search",
    "StudyResult",
    "Tests",
    "Training",
    "Verdict",
    "WORSE",
]

SCHEMA = 2

FIRST_SCREENING = 1000
"""Pairs from this number on are for searching settings, however many are compared on."""
NONE, AS_BROUGHT = "none", "as brought"
"""The two baselines: without any regulariser but with its own learning rate and decay, and untouched."""

BETTER, WORSE, EQUIVALENT, NO_BETTER, OPEN = "better", "worse", "equivalent", "no better", "not shown"
"""The outcomes of a comparison."""


@dataclass(frozen=True)
class Arm:
    """One setting that is tried: a member of a family. What is left at its default is not used.

    Args:
        name: in tables; `none` and `as brought` are the baselines.
        family: what it is a setting of.
        learning_rate: of AdamW; None for the one that the plan begins with.
        weight_decay: of AdamW, decoupled, 0 or more.
        rate: dropped behind hidden activations or in branches, in [0, 1).
        method: the name of that dropout in the catalogue.
        at: the modules behind which it stands; empty for all that the plan names for the method.
        schedule: `constant`, `early` (the rate falls to 0 over the first half of the steps) or `late` (it is
            0 in the first half and the rate afterwards).
        input_rate: dropped at the input, in [0, 1).
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
    """What is learned from. `guess_error` is that of always saying the commonest class or the mean."""

    name: str
    digest: str
    task: str
    rows: int
    input_shape: tuple[int, ...]
    n_outputs: int
    guess_error: float
    class_weight: str = "none"


@dataclass(frozen=True)
class Model:
    """What is trained.

    `sites` names, for each method that is tried inside the model, the modules behind which it can stand;
    `own_dropout` the dropout modules that the model brings; `random_modes` the modes in which its outputs
    change from pass to pass though these are off.
    """

    name: str
    digest: str
    sites: dict[str, tuple[str, ...]]
    own_dropout: tuple[str, ...] = ()
    random_modes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Parts:
    """Rows of the four parts, and what is shared.

    `test` is sealed and the same for all pairs; the others are drawn for every pair. `design` is `disjoint`
    (no row in two pairs), `resampled` (pairs share rows) or `seeds` (all pairs have one split). `overlap` is
    what shared rows add to the variance of a mean difference: select rows / training rows for `resampled`,
    else 0. `fresh` says that no row on which arms are compared was seen while settings were searched.
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
    ends there. At most `finalists` families are compared with the baselines.
    """

    families: tuple[str, ...]
    trials: int
    round: int
    splits: int
    finalists: int
    prune: bool


@dataclass(frozen=True)
class Tests:
    """How the finalists are compared with none.

    `name` is that of a metric of the user's own, which then stands in the place of the error.
    `margin` is a share: points of error for a classification, of none's value otherwise; None if it is off.
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

    `arms` are those that the user wants compared, without a search; empty where settings are searched for.
    """

    data: Data
    model: Model
    parts: Parts
    training: Training
    search: Search
    tests: Tests
    seed: int
    versions: dict[str, str]
    arms: tuple[Arm, ...] = ()
    notes: tuple[str, ...] = ()
    fingerprint: str = ""

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

        None where it is off, and for the NLL of a regression: its zero moves with the units of the target.
        """
        margin = self.tests.margin
        if margin is None or (metric == "nll" and self.data.task != "classification"):
            return None
        if metric == "error" and self.unit == "%":
            return margin
        return margin * none if none > 0 else None

    def screens(self, pair: int) -> bool:
        """Whether a pair is for searching settings, so that it is never part of a comparison."""
        return pair >= FIRST_SCREENING


@dataclass(frozen=True)
class Scores:
    """Error (share of wrong classes, or root mean squared error in units of the target) and NLL in nats."""

    error: float
    nll: float


@dataclass(frozen=True)
class Point:
    """One point of a learning curve, taken in eval mode."""

    epoch: int
    train: Scores
    stop: Scores


@dataclass(frozen=True)
class Run:
    """One finished run: one arm on one pair of (split, seed). A failed one says why and has no scores.

    `epochs` is the epoch whose weights were kept, the best on the stop part; `steps` how many steps were
    taken. `paused` is the epoch after which it stopped half way, to be pruned or gone on with.
    """

    plan: str
    arm: str
    pair: int
    seconds: float
    epochs: int = 0
    steps: int = 0
    stop: Scores | None = None
    select: Scores | None = None
    curve: tuple[Point, ...] = ()
    paused: int = 0
    failure: str = ""
    id: str = ""

    @property
    def kept(self) -> Scores | None:
        """Training scores of the weights that were kept, None where nothing was scored."""
        return next((point.train for point in self.curve if point.epoch == self.epochs), None)

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Run:
        """Rebuild a run from its JSON form."""
        nested = {"stop": _scores(record["stop"]), "select": _scores(record["select"])}
        curve = tuple(_point(point) for point in record["curve"])
        return cls(**{each.name: record[each.name] for each in fields(cls)} | nested | {"curve": curve})


def _scores(record: dict[str, float] | None) -> Scores | None:
    return None if record is None else Scores(**record)


def _point(record: dict[str, Any]) -> Point:
    return Point(record["epoch"], Scores(**record["train"]), Scores(**record["stop"]))


@dataclass(frozen=True)
class Family:
    """What the search found in one family: its best trial, and how much of its score is luck.

    `select` are the scores by which it was chosen, `optimism` by how much the metric of these is expected to
    be too good for having been chosen, in units of the metric. `at_edge` names the parameters whose best
    value lies at an end of what was tried. `finalist` says that it was compared with none.
    """

    name: str
    best: Arm | None
    trials: int
    pruned: int
    failed: int
    select: Scores | None
    optimism: float | None
    at_edge: tuple[str, ...] = ()
    finalist: bool = False


@dataclass(frozen=True)
class ArmSummary:
    """Means over the complete pairs of one arm; `select_sd` is the spread over pairs, None where one ran."""

    arm: Arm
    runs: int
    failures: int
    train: Scores
    stop: Scores
    select: Scores
    select_sd: Scores | None
    epochs: float
    steps: float
    seconds: float


@dataclass(frozen=True)
class Comparison:
    """One arm against `none` in one score, on select parts of pairs that the search never drew.

    `mean`, `low` and `high` are differences (arm minus none: negative is better) with the 95 % interval of
    this comparison alone; `p_adjusted` is Holm's over all comparisons; `detectable` is in units of the score.
    Where all pairs were equal there is no spread, hence no interval, no effect size and no detectable effect:
    these are None. `effect` is mean / sd with its 95 % interval; `wins` the share of pairs in which it was
    better, ties half; `p_flips` that of a sign-flip test, None where pairs share rows. `margin` is in
    units of the score; `p_equivalent` and `p_no_better` are Holm's for "the difference is smaller than the
    margin" and "a gain is smaller than the margin". `carried_by` names the pairs (from 0) without which the
    outcome would be another one; `more_pairs` is about how many would decide what is not shown, if the true
    difference is the one seen, and None where no number would.
    """

    arm: str
    metric: str
    pairs: int
    none: float
    mean: float
    sd: float
    low: float | None
    high: float | None
    p: float
    p_adjusted: float
    detectable: float | None
    outcome: str
    differences: tuple[float, ...]
    margin: float | None
    p_equivalent: float | None
    p_no_better: float | None
    effect: float | None
    effect_low: float | None
    effect_high: float | None
    wins: float
    p_flips: float | None
    carried_by: tuple[int, ...]
    more_pairs: int | None


@dataclass(frozen=True)
class Sealed:
    """One arm on the sealed part: its mean score there and its difference from none.

    `low` and `high` bound the difference at 95 % by a bootstrap over rows and runs; for none itself `mean`,
    `low` and `high` are None.
    """

    arm: str
    metric: str
    score: float
    mean: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Calibration:
    """How far stated probabilities hold on the sealed part: one arm, rows binned by the highest probability.

    `confidence` and `accuracy` are means of each bin, `rows` its count; `error` is the expected calibration
    error, the mean gap between the two weighed by rows.
    """

    arm: str
    error: float
    confidence: tuple[float, ...]
    accuracy: tuple[float, ...]
    rows: tuple[int, ...]


@dataclass(frozen=True)
class Fit:
    """Question zero: would regularising help at all? None's scores by the share of training rows it had.

    `answer` is `underfits` (it fits its training rows little better than new ones), `room` (a gap between the
    two that a regulariser may close) or `unknown`; `more_data` is by how much the metric is expected to fall
    with twice the rows, None where it cannot be said.
    """

    shares: tuple[float, ...]
    train: tuple[Scores, ...]
    select: tuple[Scores, ...]
    answer: str
    more_data: float | None


@dataclass(frozen=True)
class Verdict:
    """The answer in plain sentences."""

    headline: str
    sentences: tuple[str, ...]
    caveats: tuple[str, ...]
    recommended: str


@dataclass(frozen=True)
class StudyResult:
    """Everything a study leaves: the plan, the search, every run, the comparisons and the verdict.

    `arms` begins with none and as brought. `changed` says what differs from the plan that was registered
    first for this question: not empty, it makes the study exploratory. `openings` is how often the sealed
    part was opened in this folder. `tried` are the settings of the search, each by the name that its runs
    carry. `settings` are the options that repeat the study. `table_hash` is of
    families, runs, arms and comparisons without their seconds: equal for any number of workers.
    """

    plan: Plan
    runs: tuple[Run, ...]
    families: tuple[Family, ...]
    arms: tuple[ArmSummary, ...]
    comparisons: tuple[Comparison, ...]
    fit: Fit | None
    sealed: tuple[Sealed, ...]
    calibration: tuple[Calibration, ...]
    verdict: Verdict
    complete_pairs: int
    stopped_early: bool
    seconds: float
    files: dict[str, str]
    changed: tuple[str, ...] = ()
    openings: int = 0
    tried: tuple[Arm, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    table_hash: str = ""
    schema: int = SCHEMA

    def to_dict(self, *, runs: bool = True) -> dict[str, Any]:
        """The result as JSON types; `runs=False` leaves the single runs out."""
        record = asdict(self)
        return record if runs else {name: value for name, value in record.items() if name != "runs"}
