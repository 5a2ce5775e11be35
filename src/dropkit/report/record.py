"""What a study finds, as records: frozen data that pages, tables and JSON are drawn from."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from dropkit.report.messages import Note
from dropkit.report.plan import Arm, Plan

__all__ = [
    "BETTER",
    "EQUIVALENT",
    "NO_BETTER",
    "OPEN",
    "SCHEMA",
    "ArmSummary",
    "Calibration",
    "Comparison",
    "Family",
    "Fit",
    "Point",
    "Run",
    "Scores",
    "Sealed",
    "StudyResult",
    "Verdict",
    "WORSE",
]

SCHEMA = 3

BETTER, WORSE, EQUIVALENT, NO_BETTER, OPEN = "better", "worse", "equivalent", "no better", "not shown"
"""The outcomes of a comparison."""


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
    failure: Note | None = None
    id: str = ""

    @property
    def kept(self) -> Scores | None:
        """Training scores of the weights that were kept, None where nothing was scored."""
        return next((point.train for point in self.curve if point.epoch == self.epochs), None)

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Run:
        """Rebuild a run from its JSON form."""
        nested = {
            "stop": _scores(record["stop"]),
            "select": _scores(record["select"]),
            "failure": _note(record["failure"]),
        }
        curve = tuple(_point(point) for point in record["curve"])
        return cls(**{each.name: record[each.name] for each in fields(cls)} | nested | {"curve": curve})


def _scores(record: dict[str, float] | None) -> Scores | None:
    return None if record is None else Scores(**record)


def _note(record: dict[str, Any] | None) -> Note | None:
    return Note(**record) if record else None  # empty: a text, in records of an older version


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
    """Means over the complete pairs of one arm; `select_sd` is the spread over pairs, None where one ran.

    All arms may take equally many steps; `at_equal_time` are scores on the stop part of the best that it was
    by the time none's run of the same pair ended.
    """

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
    at_equal_time: Scores | None = None


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
    difference is the one seen, and None where no number would. `alpha` is the level of the look at which all
    this was said: where a comparison may end early, an interval covers with 1 - alpha, which is more, so that
    those of all looks together cover with 95 %.
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
    alpha: float = 0.05


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

    `answer` is `underfits` (all pairs show that even at the end of training it fits its training rows little
    better than new ones), `room` (a gap between the two that a regulariser may close) or `unknown`;
    `more_data` is by how much the metric is expected to fall with twice the rows, None where more rows were
    not shown to help.
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
