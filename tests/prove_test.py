"""The promises that every change must keep, on a sample of what `make prove` measures."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from tools.prove import battery, cells, generators, laws, layers, page, real_studies, selftest
from tools.prove.__main__ import parts
from tools.prove.proof import Measured, NotMeasured, Proof, run
from tools.prove.real_studies import Claim

from dropkit import Drop
from dropkit.experiments import simulate, study
from dropkit.methods import catalogue
from dropkit.report.plan import Arm
from dropkit.testing import Declared
from dropkit.testing.registry import RUNS
from dropkit.torch.layer import Drop as Layer
from dropkit.torch.layer import Layer as Base

SAMPLED: dict[str, Callable[[], Measured]] = {
    "1 known answers": generators.known_answers,
    "1 native": lambda: generators.native(10_000),
    "3 one mask": lambda: cells.one_mask(cells.cells(23)),
    "3 compiled": lambda: cells.compiled("aot_eager"),
    "4 forward and backward": lambda: cells.forward_backward(5, ()),
    "6 no stretch twice": lambda: laws.repeats(streams=16),
    "8 eval identity": lambda: layers.eval_identity(3),
    "9 gradients": lambda: layers.gradients((0.3,), second=False),
    "9 half types": lambda: layers.half_types((0.3,)),
    "10 golden values": layers.golden,
    "10 address version": layers.metadata,
    "11 simulated studies": lambda: selftest.design(10, selftest.SHARED),
}


@pytest.mark.parametrize("name", SAMPLED)
def test_a_promise_holds_on_a_sample(name: str) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        found = SAMPLED[name]()
    assert found.passed, found.figure


@pytest.mark.parametrize("name", ["dropout", "gaussian_dropout", "drop_block"])
def test_a_law_holds_on_a_sample(name: str) -> None:
    found = laws.law(catalogue()[name], draws=2**20)
    assert found.passed, found.figure


def test_a_wrong_mask_breaks_promise_3(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cells.HOWS, "function", lambda drop, x: cells._layer(drop, x).flip(0))
    assert not cells.one_mask(cell for cell in cells.cells(23) if cell.how == "function").passed


def test_a_redrawn_mask_breaks_promise_4() -> None:
    class Redrawn(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = Layer(Drop(0.5))(x)
            return y

        @staticmethod
        def backward(ctx: object, grad: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = Layer(Drop(0.5))(grad)
            return y

    assert cells._masks_differ(Redrawn.apply, (64,), torch.float32)


def test_a_copy_breaks_promise_8(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Base, "forward", lambda self, input, **_: input.clone())
    assert not layers.eval_identity(1).passed


def test_a_wrong_gradient_breaks_promise_9() -> None:
    assert layers._gradient_holds(lambda x: 2 * x, (layers._normal((3,)),))
    assert not layers._gradient_holds(lambda x: 2 * x.detach() + x, (layers._normal((3,)),))


def test_a_unit_in_the_last_place_is_counted_right() -> None:
    exact = torch.tensor([1.0, 3.0])
    half = exact.to(torch.bfloat16)
    assert layers._ulp(half, exact) == 0
    assert layers._ulp(half + torch.tensor([0.0, 2.0**-6], dtype=torch.bfloat16), exact) == 1


def test_another_stream_breaks_promise_10(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(layers.GOLDEN, "entry", (Drop(0.5), (64, 65), "0" * 16))
    assert not layers.golden().passed


def test_a_wrong_rate_breaks_promise_5(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        Declared, "coins", lambda self, m: (m == 0) & (np.arange(m.size) % 20 > 0).reshape(m.shape)
    )
    assert not laws.law(catalogue()["dropout"], draws=2**20).passed


def test_a_study_that_forgets_the_shared_rows_breaks_promise_11(monkeypatch: pytest.MonkeyPatch) -> None:
    forgetful = functools.partial(simulate.errors, truth=simulate.Truth(correlation=0.18))
    monkeypatch.setattr(selftest, "errors", forgetful)
    assert not selftest.design(10, 0.0, studies=2000).passed


def test_a_rate_is_held_only_where_more_than_five_per_cent_are_excluded() -> None:
    most = int(selftest.gate().figure.partition("at most ")[2].partition("so at most ")[2].split()[0])
    assert (
        stats.binom.cdf(most, selftest.STUDIES, 0.05)
        <= 0.05
        < stats.binom.cdf(most + 1, selftest.STUDIES, 0.05)
    )
    assert stats.binom.cdf(most, selftest.STUDIES, 0.06) < 1e-9
    assert not selftest._within(1, 20)  # too few to say


def test_looks_without_a_correction_break_promise_11(monkeypatch: pytest.MonkeyPatch) -> None:
    assert selftest.looks(0.0, studies=5000).passed
    monkeypatch.setattr(simulate, "level_at", lambda alpha, look, looks: alpha)
    assert not selftest.looks(0.0, studies=5000).passed


def claim(outcome: str, metric: str = "error", drops: bool = True, decides: bool = True) -> Claim:
    return Claim("a family", metric, outcome, drops, -0.1, decides)


def test_too_many_false_claims_on_noise_break_promise_13() -> None:
    wrong, right = [claim("better"), claim("better", "nll")], [claim("better", "nll"), claim("worse")]
    for count, holds in ((4, True), (5, False)):
        found = real_studies.noise_judged([wrong] * count + [right] * (20 - count), [wrong])
        assert found.passed is holds
        assert found.figure.startswith(f"{count} of 20 studies")


@pytest.mark.parametrize(
    "lost",
    [
        [],
        [claim("better", drops=False)],
        [claim("better", decides=False)],
        [claim("worse")],
        [claim("equivalent", "nll")],
    ],
)
def test_a_planted_dropout_that_is_not_found_breaks_promise_13(lost: list[Claim]) -> None:
    won = [claim("better", "nll")]
    assert real_studies.planted_judged("planted", [won, won]).passed
    found = real_studies.planted_judged("planted", [won, lost])
    assert not found.passed
    assert found.figure.startswith("planted: 1 of 2 studies")
    assert found.figure.endswith(": a family by 0.100 in the NLL; none of them")


def test_a_false_better_is_read_from_a_whole_study(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(200, 3)), np.arange(200) % 2
    x[:, 0] += 3 * y
    arms = Arm("none", "none", learning_rate=1e-9), Arm("dropout", "dropout", learning_rate=1e-2, rate=0.2)
    result = study((x, y), arms=arms, epochs=5, workers=1, out=tmp_path, quiet=True)
    told = real_studies.claims_of(result)
    assert [(each.family, each.metric, each.outcome, each.drops, each.decides) for each in told] == [
        ("dropout", "error", "better", True, True),
        ("dropout", "nll", "better", True, False),
    ]


def test_verdicts_of_dieharder_are_read() -> None:
    output = " sts_serial|  1|  100000|  100|0.00012345|  WEAK  \n diehard_runs|  0| 100000| 100|0.7| PASSED "
    assert list(battery._verdicts(output)) == [
        ("sts_serial 1 p=0.00012345", "WEAK"),
        ("diehard_runs 0 p=0.7", "PASSED"),
    ]


def test_what_cannot_run_says_so_and_the_page_shows_it(tmp_path: Path) -> None:
    def absent() -> Measured:
        raise NotMeasured("no GPU on this machine")

    golden = Proof(10, "golden values", "0 of 6 | wrong", False, 1.0, "2026-01-01 00:00 UTC")
    page.write([run(3, "GPU", absent), golden], tmp_path / "docs" / "proof.md")
    text = (tmp_path / "docs" / "proof.md").read_text()
    assert "| not measured: no GPU on this machine | not measured |" in text
    assert r"| 0 of 6 \| wrong | **broken** |" in text
    assert text.index("## 3.") < text.index("## 10.")


def test_what_is_not_measured_again_stands_as_it_was(tmp_path: Path) -> None:
    def proof(promise: int, figure: str) -> Proof:
        return Proof(promise, "part", figure, True, 1.0, "2026-01-01 00:00 UTC")

    path = tmp_path / "proof.md"
    page.write([proof(2, "two"), proof(10, "ten"), proof(10, "more")], path)
    page.write([proof(10, "new"), proof(12, "twelve")], path)
    rows = [line.split(" | ")[0] for line in path.read_text().splitlines() if line.endswith("1 s |")]
    assert rows == ["| two", "| new", "| twelve"]
    before = path.read_text()
    page.write([], path)
    assert path.read_text() == before


def test_every_promise_is_measured_and_counted() -> None:
    assert {promise for promise, *_ in parts()} == set(page.PROMISES) == set(range(1, 14))
    assert sum(promise == 5 for promise, *_ in parts()) <= RUNS["prove.rate"]
    assert sum(promise == 6 for promise, *_ in parts()) <= RUNS["prove.independence"]
