"""A study that nobody ran: plausible numbers from a fixed seed, for all that only reads records."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import stats

from dropkit.experiments.decision import OPEN, carriers, decide
from dropkit.experiments.evidence import effect_size, sign_flips, wins
from dropkit.experiments.inference import paired_test
from dropkit.experiments.power import Design
from dropkit.experiments.verdict import judge
from dropkit.report.plan import (
    AS_BROUGHT,
    FIRST_SCREENING,
    NONE,
    Arm,
    Data,
    Inference,
    Model,
    Parts,
    Plan,
    Search,
    Training,
)
from dropkit.report.record import (
    ArmSummary,
    Calibration,
    Comparison,
    Family,
    Fit,
    Point,
    Run,
    Scores,
    Sealed,
    StudyResult,
)

PAIRS = 10
NLL_SHARE = 3.0  # NLL in nats for each unit of error

ARMS = (
    Arm(NONE, NONE, learning_rate=0.003, weight_decay=0.01),
    Arm(AS_BROUGHT, AS_BROUGHT, keeps_own=True),
    Arm("L2", "L2", learning_rate=0.002, l2=0.004),
    Arm("dropout", "dropout", learning_rate=0.003, rate=0.31, at=("features.1", "features.4")),
    Arm("drop block", "drop block", learning_rate=0.002, rate=0.12, method="drop_block"),
    Arm("R-Drop", "R-Drop", learning_rate=0.001, rate=0.2, r_drop=1.5),
    Arm("best two combined", "best two combined", learning_rate=0.003, rate=0.31, l2=0.004),
)
FAMILIES = (
    *(NONE, "L2", "L1", "max-norm", "label smoothing", "augmentation", "dropout", "gaussian dropout"),
    *("drop block", "early dropout", "late dropout", "R-Drop"),
)
SITES = ("features.1", "features.4", "features.7", "head.1")

GAINS = {AS_BROUGHT: 0.2, "L2": -0.6, "dropout": -1.9, "drop block": -1.2, "R-Drop": -0.7}
"""Differences in points of error."""


def plan(**changes: Any) -> Plan:
    """A plan of the search of 12 families on small images; `changes` go to the records of those names."""
    made = Plan(
        data=Data("clothes.npz", "d" * 16, "classification", 12_000, (1, 28, 28), 10, 0.9),
        model=Model(
            "small.py:make_model",
            "m" * 16,
            {"dropout": SITES, "gaussian_dropout": SITES, "drop_block": SITES[:3]},
            ("2 x Dropout",),
        ),
        parts=Parts(700, 150, 150, 1500, "disjoint", 0.0, fresh=True),
        training=Training(40, 20, 4, 64, 0.003),
        search=Search(FAMILIES, 12, 4, 2, 5, prune=True),
        tests=Inference("error", 0.005, PAIRS, 1, 0.05, 0.8, 12, 1.55, 0.0),
        seed=0,
        versions={"dropkit": "0.1.0", "python": "3.11.7", "torch": "2.13.0", "numpy": "2.4.6"},
        fingerprint="0123456789abcdef",
    )
    parts = {name: replace(getattr(made, name), **given) for name, given in changes.items()}
    return replace(made, **parts)


def around(mean: float, sd: float, seed: int = 0, pairs: int = PAIRS) -> tuple[float, ...]:
    """Differences with exactly this mean and standard deviation, both in points."""
    z = stats.zscore(np.random.default_rng(seed).normal(size=pairs), ddof=1)
    return tuple(((mean + sd * z) / 100).tolist())


def comparisons(
    made: Plan, differences: Mapping[str, Sequence[float]], none: float = 0.3
) -> tuple[Comparison, ...]:
    """What these differences in error bear; those in NLL are a multiple, and half as sure."""
    noise = np.random.default_rng(1).normal(
        0, 0.02, (len(differences), len(next(iter(differences.values()))))
    )
    nll = {
        name: [NLL_SHARE * d + e for d, e in zip(each, row, strict=True)]
        for (name, each), row in zip(differences.items(), noise, strict=True)
    }
    scores = {"error": (none, differences), "nll": (NLL_SHARE * none, nll)}
    rows = [
        (arm, metric, scores[metric][0], d) for metric in made.metrics for arm, d in scores[metric][1].items()
    ]
    return _judged(made, rows)


def equal_nll(
    made: Plan, differences: Mapping[str, Sequence[float]], none: float = 0.3
) -> tuple[Comparison, ...]:
    """The same, with an NLL that is that of none in every pair."""
    flat = {name: [0.0] * len(each) for name, each in differences.items()}
    rows = [(arm, "error", none, d) for arm, d in differences.items()]
    return _judged(made, rows + [(arm, "nll", 1.0, d) for arm, d in flat.items()])


def _judged(made: Plan, rows: Sequence[tuple[str, str, float, Sequence[float]]]) -> tuple[Comparison, ...]:
    tests, overlap = made.tests, made.parts.overlap
    differences = [d for *_, d in rows]
    margins = [made.margin_of(metric, none) or np.nan for _, metric, none, _ in rows]
    decision = decide(differences, margins, overlap, tests.alpha)
    carried = carriers(differences, margins, overlap, tests.alpha)
    design = Design(len(differences[0]), overlap, len(rows), tests.alpha, tests.power)
    return tuple(
        _comparison(made, row, margins[at], decision, at, carried[at], design) for at, row in enumerate(rows)
    )


def _comparison(
    made: Plan,
    row: tuple[str, str, float, Sequence[float]],
    margin: float,
    decision: Any,
    at: int,
    carried: tuple[int, ...],
    design: Design,
) -> Comparison:
    arm, metric, none, d = row
    overlap = made.parts.overlap
    test = paired_test(d, overlap, 1 - made.tests.alpha)
    effect, low, high = effect_size(d, overlap, 1 - made.tests.alpha) or (None, None, None)
    outcome = str(decision.outcome[at])
    scaled = margin / test.sd if test.sd and np.isfinite(margin) else None
    needed = (
        design.pairs_to_decide(test.mean / test.sd, scaled, made.room or 1000)
        if test.sd and outcome == OPEN
        else None
    )
    return Comparison(
        arm=arm,
        metric=metric,
        none=none,
        differences=tuple(d),
        **vars(test),
        pairs=design.pairs,
        p_adjusted=float(decision.p_adjusted[at]),
        detectable=_detectable(design) * test.sd or None,
        outcome=outcome,
        margin=margin if np.isfinite(margin) else None,
        p_equivalent=_known(decision.p_equivalent[at]),
        p_no_better=_known(decision.p_no_better[at]),
        effect=effect,
        effect_low=low,
        effect_high=high,
        wins=wins(d),
        p_flips=None if overlap else sign_flips(d),
        carried_by=carried,
        more_pairs=max(needed - design.pairs, 1) if needed else None,
        alpha=made.tests.alpha,
    )


@functools.cache
def _detectable(design: Design) -> float:
    return design.detectable


def _known(p: float) -> float | None:
    return None if np.isnan(p) else float(p)


def summaries(gains: Mapping[str, float], none: float = 0.3, pairs: int = PAIRS) -> tuple[ArmSummary, ...]:
    """Means of none and of every arm of `gains` (in points)."""
    arms = {arm.name: arm for arm in ARMS}
    shifts = {NONE: 0.0, **gains}
    return tuple(
        _summary(arms.get(name, Arm(name, name)), none + gain / 100, pairs) for name, gain in shifts.items()
    )


def _summary(arm: Arm, error: float, pairs: int) -> ArmSummary:
    select, sd = Scores(error, NLL_SHARE * error), Scores(0.012, 0.04)
    learnt = Scores(error / 3, error / 2)
    slower = 1.3 if arm.rate else 1.0
    return ArmSummary(
        *(arm, pairs, 0, learnt, select, select, sd, 22.5 * slower, 247.0 * slower, 1.12 * slower**2),
        at_equal_time=Scores(slower * error, NLL_SHARE * slower * error),
    )


def study(
    lang: str = "en", *, gains: Mapping[str, float] = GAINS, made: Plan | None = None, trials: int = 12
) -> StudyResult:
    """A whole study with all that a page can show."""
    made = made or plan()
    shown = {**gains, "best two combined": -2.0} if gains is GAINS else dict(gains)
    d = {name: around(gain, 0.9, seed) for seed, (name, gain) in enumerate(shown.items())}
    found, means = comparisons(made, d), summaries(shown)
    tried, searched = _searched(trials)
    families, fit, sealed = _families(trials, means), _fit(), _sealed(made, shown)
    judged = judge(made, found, means, families, fit, sealed, complete_pairs=PAIRS, lang=lang)
    return StudyResult(
        plan=made,
        runs=(*_confirmed(d), *searched),
        families=families,
        arms=means,
        comparisons=found,
        fit=fit,
        sealed=sealed,
        calibration=_calibrations(judged.recommended),
        verdict=judged,
        complete_pairs=PAIRS,
        stopped_early=False,
        seconds=104.2,
        files={
            name: f"dropkit-study/{name}"
            for name in ("report.html", "study.json", "runs.sqlite", "model.safetensors")
        },
        openings=1,
        tried=tried,
        settings={"data": "clothes.npz", "model": "small.py:make_model", "margin": "0.5%", "seed": 0},
        table_hash="fedcba9876543210",
    )


def _confirmed(differences: Mapping[str, Sequence[float]]) -> list[Run]:
    rng = np.random.default_rng(3)
    levels = 0.3 + rng.normal(0, 0.01, PAIRS)
    shifts = {NONE: [0.0] * PAIRS, **differences}
    return [
        _run(name, pair, float(levels[pair] + shift[pair]), rng)
        for pair in range(PAIRS)
        for name, shift in shifts.items()
    ]


def _run(name: str, pair: int, error: float, rng: np.random.Generator) -> Run:
    last = int(rng.integers(14, 20))
    scores = Scores(error, NLL_SHARE * error)
    return Run(
        "0123456789abcdef",
        name,
        pair,
        float(rng.uniform(0.9, 1.6)),
        epochs=2 * last,
        steps=22 * last,
        stop=scores,
        select=scores,
        curve=tuple(_point(2 * k, error, 0.2 if name == NONE else 0.6) for k in range(1, last + 1)),
        id=f"{name}-{pair}",
    )


def _point(epoch: int, error: float, gap: float) -> Point:
    stop = error + 0.4 * np.exp(-epoch / 6) + (0.0008 if gap < 0.5 else 0.0002) * epoch
    train = gap * error + 0.5 * np.exp(-epoch / 5)
    return Point(epoch, Scores(train, NLL_SHARE * train), Scores(stop, NLL_SHARE * stop))


def _searched(trials: int) -> tuple[tuple[Arm, ...], list[Run]]:
    rng = np.random.default_rng(4)
    arms, runs = [], []
    for family in FAMILIES:
        for trial in range(trials):
            rate = float(rng.uniform(0.05, 0.7)) if "drop" in family.lower() else 0.0
            arms.append(Arm(f"{family} {trial + 1}", family, float(10 ** rng.uniform(-4, -2)), rate=rate))
            error = 0.3 - 0.05 * rate + 0.12 * rate**2 + float(rng.normal(0, 0.012))
            runs += [_run(arms[-1].name, FIRST_SCREENING + split, error, rng) for split in range(2)]
    return tuple(arms), runs


def _families(trials: int, means: Sequence[ArmSummary]) -> tuple[Family, ...]:
    best = {each.arm.family: each.arm for each in means}
    return tuple(
        Family(
            name,
            best.get(name, Arm(name, name, 0.002, rate=0.4 if "dropout" in name else 0.0)),
            trials,
            trials // 3,
            1 if name == "L1" else 0,
            Scores(0.28 + 0.001 * at, 0.86),
            0.0071,
            at_edge=("rate",) if name in ("dropout", "gaussian dropout") else (),
            finalist=name in best,
        )
        for at, name in enumerate(FAMILIES)
    )


def _fit() -> Fit:
    shares = (0.25, 0.5, 1.0)
    train = tuple(Scores(0.09 + 0.01 * at, 0.2) for at in range(3))
    select = tuple(Scores(0.36 - 0.03 * at, 1.1 - 0.1 * at) for at in range(3))
    return Fit(shares, train, select, "room", 0.026)


def _sealed(made: Plan, gains: Mapping[str, float]) -> tuple[Sealed, ...]:
    none = [
        Sealed(NONE, metric, 0.301 if metric == "error" else 0.91, None, None, None)
        for metric in made.metrics
    ]
    scale = {"error": 0.01, "nll": NLL_SHARE / 100}
    others = [
        Sealed(
            arm,
            metric,
            0.3 + 0.8 * gain * scale[metric],
            0.8 * gain * scale[metric],
            (0.8 * gain - 0.9) * scale[metric],
            (0.8 * gain + 0.9) * scale[metric],
        )
        for metric in made.metrics
        for arm, gain in gains.items()
    ]
    return (*none, *others)


def _calibrations(recommended: str) -> tuple[Calibration, ...]:
    confidence = (0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.96)
    rows = (40, 90, 130, 170, 210, 320, 540)
    plain = tuple(c - 0.09 for c in confidence)
    mended = tuple(c - 0.02 for c in confidence)
    arms = [(NONE, plain, 0.09), *([(recommended, mended, 0.021)] if recommended != NONE else [])]
    return tuple(Calibration(arm, error, confidence, accuracy, rows) for arm, accuracy, error in arms)
