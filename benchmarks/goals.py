"""The figures that dropkit sets itself, and whether a run reached them."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.cell import Sheet

__all__ = ["GOALS", "Goal", "Verdict"]


@dataclass(frozen=True)
class Verdict:
    """What one number of threads reached."""

    threads: int
    figure: float
    met: bool


@dataclass(frozen=True)
class Goal:
    """One line: a place in the table, and the most or the least that its figure may be.

    `inverse` judges dropkit's time by the peer's where the table has the peer's by dropkit's.
    """

    says: str
    part: str
    task: str
    case: str
    peer: str
    most: float | None = None
    least: float | None = None
    inverse: bool = False
    threads: int | None = None

    @property
    def bound(self) -> str:
        """The goal in words."""
        return f"at most {self.most:g}" if self.most is not None else f"at least {self.least:g}"

    def judge(self, sheet: Sheet) -> list[Verdict]:
        """Return a verdict for each number of threads that was measured.

        >>> from benchmarks.cell import Cell
        >>> sheet = Sheet({}, (Cell("memory", "kept", "8", 1, "dropkit", 0.0, 0.0, 0.0),))
        >>> Goal("kept", "memory", "kept", "8", "dropkit", most=0).judge(sheet)
        [Verdict(threads=1, figure=0.0, met=True)]
        """
        found = sheet.find(self.part, self.task, self.case, self.peer)
        figures = {n: 1 / cell.figure if self.inverse else cell.figure for n, cell in found.items()}
        return [
            Verdict(n, figure, self._met(figure))
            for n, figure in sorted(figures.items())
            if self.threads in (None, n)
        ]

    def _met(self, figure: float) -> bool:
        return (self.most is None or figure <= self.most) and (self.least is None or figure >= self.least)


def _small(size: str) -> Goal:
    return Goal(
        f"{size} entries, forward + backward / F.dropout's",
        *_BOTH,
        f"{size} float32",
        "F.dropout",
        1.2,
        None,
        True,
    )


def _faster(size: str) -> Goal:
    says = f"{size} entries, forward + backward: times faster than F.dropout"
    return Goal(says, *_BOTH, f"{size} float32", "F.dropout", least=1)


def _relu(size: str) -> Goal:
    says = f"{size} entries, forward + backward / F.relu's"
    return Goal(says, *_BOTH, f"{size} float32", "F.relu", 1.15, None, True)


def _attention(task: str, shape: str) -> Goal:
    says = f"attention {shape}, {task}, with dropout / PyTorch's without"
    return Goal(says, "attention", task, shape, "without dropout", 1, None, True)


_BOTH = "elementwise", "forward + backward"
_FRESH, _PLACE = ("elementwise", "forward"), ("elementwise", "in place")
_STEP = "steps", "training step"
_HUGE, _CACHE = "16,777,216 float32", "1,048,576 float32"

GOALS = [
    Goal("16.8 M entries, fresh output / clone", *_FRESH, _HUGE, "clone", 1.2, None, True),
    Goal("16.8 M entries, fresh output: times faster than F.dropout", *_FRESH, _HUGE, "F.dropout", least=8),
    Goal("16.8 M entries, in place / copy", *_PLACE, _HUGE, "copy_", 1.2, None, True),
    Goal("16.8 M entries, in place: times faster than F.dropout", *_PLACE, _HUGE, "F.dropout", least=40),
    Goal("1 M entries, in place / copy", *_PLACE, _CACHE, "copy_", 3.5, None, True),
    *(
        Goal(
            f"1 M entries, {says}: times faster than F.dropout",
            *place,
            _CACHE,
            "F.dropout",
            least=least,
            threads=threads,
        )
        for says, place in (("fresh output", _FRESH), ("in place", _PLACE))
        for threads, least in ((1, 35), (2, 60))
    ),
    *map(_small, ["64", "256", "512"]),
    *map(_faster, ["1,024", "4,096"]),
    Goal(
        "64 k entries, forward: times faster than F.dropout", *_FRESH, "65,536 float32", "F.dropout", least=30
    ),
    *map(_relu, ["65,536", "1,048,576", "16,777,216"]),
    Goal("kept for backward, bytes an entry", "memory", "kept for backward", _HUGE, "dropkit", most=0),
    *(
        _attention(task, shape)
        for task in ("forward", "forward + backward")
        for shape in ("2x8x2048x64", "8x8x512x64", "16x4x128x64")
    ),
    *(
        Goal(
            f"MLP 784-1024-1024-10, {how}: training step with dropout / without",
            *_STEP,
            "MLP 784-1024-1024-10, 128 rows",
            peer,
            most=1.03,
        )
        for how, peer in (
            ("as use_dropkit makes it", "dropkit"),
            ("rewritten with LinearActDropout", "fused"),
        )
    ),
    Goal(
        "transformer layer, training step with every dropout / PyTorch's without",
        *_STEP,
        "transformer layer 256, 16 x 128 tokens",
        "fused",
        most=1,
    ),
    Goal(
        "feed-forward 1024-4096-1024 thinned, rate 0.5",
        "skip",
        "feed-forward",
        "rate 0.5",
        "thinned",
        most=0.55,
    ),
    Goal(
        "feed-forward 1024-4096-1024 thinned, rate 0.25",
        "skip",
        "feed-forward",
        "rate 0.25",
        "thinned",
        most=0.8,
    ),
    Goal("residual branch skipped, rate 0.5", "skip", "branch", "rate 0.5", "skipped", most=0.55),
    Goal("residual branch skipped, rate 0.25", "skip", "branch", "rate 0.25", "skipped", most=0.775),
]
