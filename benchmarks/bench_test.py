"""The table is complete, its goals point at lines that exist, and its page says what was measured."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import memory
from benchmarks.cell import Case, Cell, Sheet, cells_of, load, save
from benchmarks.goals import GOALS, Goal
from benchmarks.page import markdown, picture
from benchmarks.parts import PARTS
from benchmarks.turns import Ratio
from dropkit.torch import functional

DOCS = Path(__file__).parent.parent / "docs"


def made(figure: float, goal: Goal, threads: int = 1) -> Cell:
    return Cell(goal.part, goal.task, goal.case, threads, goal.peer, figure, figure, figure)


def test_every_goal_is_about_a_line_that_is_measured() -> None:
    lines = {(name, case.task, case.case) for name, part in PARTS.items() for case in part.cases()}
    assert not [goal.says for goal in GOALS if (goal.part, goal.task, goal.case) not in lines]


def test_every_goal_is_about_a_peer_that_is_measured() -> None:
    published = load(DOCS / "speed.json")
    assert not [goal.says for goal in GOALS if not goal.judge(published)]


@pytest.mark.parametrize("goal", GOALS, ids=[goal.says + str(goal.threads) for goal in GOALS])
def test_a_goal_is_missed_on_the_wrong_side_of_its_bound(goal: Goal) -> None:
    bound = goal.most if goal.most is not None else goal.least
    assert bound is not None
    n = goal.threads or 1
    better, worse = (bound - 0.01, bound + 0.01) if goal.least is None else (bound + 0.01, bound - 0.01)
    figures = [1 / each if goal.inverse else each for each in (better, worse)]
    found = [goal.judge(Sheet({}, (made(figure, goal, n),)))[0].met for figure in figures]
    assert found == [True, False]


def test_a_newer_figure_takes_the_place_of_an_older_one() -> None:
    old, new, other = (
        Cell("p", "t", "c", n, "x", figure, 0, 0) for n, figure in ((1, 1.0), (1, 2.0), (2, 3.0))
    )
    assert Sheet({}, (old, other)).take([new]).cells == (new, other)


def test_a_sheet_comes_back_from_its_file(tmp_path: Path) -> None:
    sheet = Sheet({"processor": "a"}, (Cell("p", "t", "c", 1, "x", 1.5, 1, 2),))
    save(sheet, tmp_path / "speed.json")
    assert load(tmp_path / "speed.json") == sheet


def test_a_cell_holds_the_median_and_the_range() -> None:
    (cell,) = cells_of("p", Case("t", "c", lambda: {"x": Ratio([1, 2, 3, 4, 5])}), 2)
    assert (cell.figure, cell.low, cell.high) == (3, 2, 4)


def test_the_page_in_the_docs_is_what_the_figures_make() -> None:
    sheet = load(DOCS / "speed.json")
    assert (DOCS / "speed.md").read_text() == markdown(sheet)


def test_the_page_names_the_instruction_set_that_was_timed() -> None:
    page = markdown(Sheet({"instruction sets run": "avx2, plain"}))
    assert "- instruction set timed: avx2; not timed: plain\n" in page


def test_the_picture_names_the_curve_of_each_peer_and_is_the_same_each_time() -> None:
    peers = "first", "second"
    cells = [
        Cell("elementwise", "forward", f"{n} float32", 1, peer, 1, 1, 1) for n in (64, 128) for peer in peers
    ]
    drawn = picture(Sheet({}, tuple(cells)))
    assert [drawn.count(f">{peer}</text>") for peer in peers] == [1, 1]
    assert drawn == picture(Sheet({}, tuple(cells)))


def test_kept_memory_sees_a_mask() -> None:
    x = torch.ones(1000, requires_grad=True)
    assert memory.kept(lambda x: functional.dropout(x, 0.5), x) < 100  # the key
    assert memory.kept(lambda x: torch.nn.functional.dropout(x, 0.5), x) >= 1000


@pytest.mark.skipif(not memory.CLEAR.exists(), reason="only Linux resets the highest memory")
def test_peak_memory_sees_what_was_freed_again() -> None:
    def work() -> float:
        return float(torch.ones(10_000_000).sum())

    assert 39e6 < memory.peak(work) < 60e6


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nonsense"], "there is no part 'nonsense'"),
        (["skip", "--threads", "0"], "--threads must lie between 1 and"),
        (["skip", "--into", "no/such/folder"], "--into must be a folder that is there"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_measured(arguments: list[str], words: str) -> None:
    command = [sys.executable, "-m", "benchmarks", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert words in done.stderr
