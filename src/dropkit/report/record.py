"""The records of a study: frozen data that runs produce and that pages, tables and JSON are drawn from."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

__all__ = [
    "SCHEMA",
    "Arm",
    "ArmSummary",
    "Comparison",
    "Plan",
    "Point",
    "Run",
    "Scores",
    "StudyResult",
    "Verdict",
]

SCHEMA = 1


@dataclass(frozen=True)
class Arm:
    """One setting that is tried: a member of a family, with its rates and its weight decay.

    `rate` is the probability of being dropped behind hidden activations, `input_rate` the one at the input;
    `method` is the name of the hidden one in the catalogue.

    >>> Arm("dropout 0.5", "dropout", rate=0.5).place
    'hidden'
    """

    name: str
    family: str
    rate: float = 0.0
    input_rate: float = 0.0
    method: str = "dropout"
    weight_decay: float = 0.0
    keeps_own: bool = False

    @property
    def place(self) -> str:
        """Where the arm drops: `none`, `hidden`, `input` or `input and hidden`."""
        places = [name for name, rate in (("input", self.input_rate), ("hidden", self.rate)) if rate]
        return " and ".join(places) or "none"


@dataclass(frozen=True)
class Plan:
    """All that is decided before anything is spent.

    `sites` names, for each method that is tried inside the model, the modules behind which it stands;
    `overlap` is what rows shared between pairs add to the variance of a mean difference (test rows / training
    rows, or 0 where no row is used twice); `guess_error` is the error of always saying the commonest class or
    the mean; `own_dropout` names the dropout modules that the model brings, `random_modes` the modes in which
    its outputs change from pass to pass though these are off; `detectable` is in standard deviations of the
    paired difference, and `floor` is what it would be with endlessly many pairs (0 where no row is shared).
    `margin` is a share: points of error for a classification, of none's value otherwise; None if it is off.
    `class_weight` says whether the loss weighs classes alike (`balanced`) or
    rows (`none`).
    """

    data: str
    data_digest: str
    task: str
    metric: str
    unit: str
    rows: int
    input_shape: tuple[int, ...]
    n_outputs: int
    guess_error: float
    train_rows: int
    select_rows: int
    test_rows: int
    overlap: float
    model: str
    model_digest: str
    sites: dict[str, tuple[str, ...]]
    own_dropout: tuple[str, ...]
    random_modes: tuple[str, ...]
    arms: tuple[Arm, ...]
    pairs: int
    epochs: int
    batch: int
    learning_rate: float
    seed: int
    alpha: float
    power: float
    comparisons: int
    detectable: float
    floor: float
    margin: float | None
    versions: dict[str, str]
    class_weight: str = "none"
    notes: tuple[str, ...] = ()
    fingerprint: str = ""

    @property
    def families(self) -> tuple[str, ...]:
        """The families that are compared with `none`, in the order of the arms."""
        return tuple(dict.fromkeys(arm.family for arm in self.arms if arm.family != "none"))

    @property
    def metrics(self) -> tuple[str, str]:
        """The two scores that are tested, the primary one first."""
        return ("error", "nll") if self.metric == "error" else ("nll", "error")

    @property
    def room(self) -> int | None:
        """How many pairs that share no row these data hold; None where pairs share rows."""
        if self.overlap:
            return None
        return self.rows // (self.train_rows + self.select_rows + self.test_rows)

    def margin_of(self, metric: str, none: float) -> float | None:
        """The margin of equivalence in units of a score, where `none` is the mean score without any family.

        None where it is off, and for the NLL of a regression: its zero moves with the units of the target.
        """
        if self.margin is None or (metric == "nll" and self.unit != "%"):
            return None
        if metric == "error" and self.unit == "%":
            return self.margin
        return self.margin * none if none > 0 else None

    @property
    def n_runs(self) -> int:
        """How many networks the plan trains."""
        return len(self.arms) * self.pairs


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
    select: Scores


@dataclass(frozen=True)
class Run:
    """One finished run: one arm on one pair of (split, seed). A failed one says why and has no scores.

    `id` names it in runs.sqlite: a hash of all that its scores depend on.
    """

    plan: str
    arm: str
    pair: int
    seconds: float
    select: Scores | None = None
    test: Scores | None = None
    curve: tuple[Point, ...] = ()
    failure: str = ""
    id: str = ""

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Run:
        """Rebuild a run from its JSON form."""
        nested = {"select": _scores(record["select"]), "test": _scores(record["test"])}
        curve = tuple(_point(point) for point in record["curve"])
        return cls(**{field.name: record[field.name] for field in fields(cls)} | nested | {"curve": curve})


def _scores(record: dict[str, float] | None) -> Scores | None:
    return None if record is None else Scores(**record)


def _point(record: dict[str, Any]) -> Point:
    return Point(record["epoch"], Scores(**record["train"]), Scores(**record["select"]))


@dataclass(frozen=True)
class ArmSummary:
    """Means over the complete pairs of one arm; `test_sd` is the spread over pairs, None where one ran."""

    arm: Arm
    runs: int
    failures: int
    chosen: int
    train: Scores
    select: Scores
    test: Scores
    test_sd: Scores | None
    seconds: float


@dataclass(frozen=True)
class Comparison:
    """One family against `none` in one score, from test parts that choosing never saw.

    `mean`, `low` and `high` are differences (family minus none: negative is better) with the 95 % interval of
    this comparison alone; `p_adjusted` is Holm's over all comparisons; `detectable` is in units of the score.
    Where all pairs were equal there is no spread, hence no interval, no effect size and no detectable effect:
    these are None. `effect` is mean / sd with its 95 % interval; `wins` the share of pairs in which it was
    better, ties half; `p_flips` that of a sign-flip test, None where pairs share rows. `margin` is in
    units of the score; `p_equivalent` and `p_no_better` are Holm's for "the difference is smaller than the
    margin" and "a gain is smaller than the margin". `carried_by` names the pairs (from 0) without which the
    outcome would be another one; `more_pairs` is about how many would decide what is not shown, if the true
    difference is the one seen, and None where no number would.
    """

    family: str
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
class Verdict:
    """The answer in plain sentences."""

    headline: str
    sentences: tuple[str, ...]
    caveats: tuple[str, ...]
    recommended: str


@dataclass(frozen=True)
class StudyResult:
    """Everything a study leaves: the plan, every run, the summaries, the comparisons and the verdict.

    `table_hash` is of runs, arms and comparisons without their seconds: equal for any number of workers.
    """

    plan: Plan
    runs: tuple[Run, ...]
    arms: tuple[ArmSummary, ...]
    comparisons: tuple[Comparison, ...]
    verdict: Verdict
    complete_pairs: int
    stopped_early: bool
    seconds: float
    files: dict[str, str]
    table_hash: str = ""
    schema: int = SCHEMA

    def to_dict(self, *, runs: bool = True) -> dict[str, Any]:
        """The result as JSON types; `runs=False` leaves the single runs out."""
        record = asdict(self)
        return record if runs else {name: value for name, value in record.items() if name != "runs"}
