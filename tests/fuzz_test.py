"""Random calls of the native loops agree with the reference; `tools.fuzz` runs as many as are wanted."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from tools import fuzz

from dropkit.torch import native
from dropkit.torch.run import run

pytestmark = pytest.mark.skipif(not native.AVAILABLE, reason="built without a C++ compiler")
CASES = 3000


def test_random_calls_agree_with_the_reference() -> None:
    assert [failure for case in range(CASES) if (failure := fuzz.check(0, case))] == []


@pytest.mark.parametrize("defect", ["a decision", "a factor", "memory", "a sign of zero"])
def test_a_defect_is_found(defect: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = run

    def wrong(x: torch.Tensor, words: Any, call: Any, **settings: Any) -> torch.Tensor:
        if defect == "a decision":
            words = words._replace(call=words.call ^ 1)
        if defect == "memory":
            settings["inplace"], x = False, x.contiguous().view(-1).roll(1).view(x.shape)
        y = right(x, words, call, **settings)
        if defect == "a sign of zero":
            return torch.where(y == 0, -y, y)
        return y * (1 + 2**-20) if defect == "a factor" and y.dtype == torch.float64 else y

    monkeypatch.setattr(fuzz, "run", wrong)
    assert any(fuzz.check(0, case) for case in range(200))


def test_a_case_can_be_repeated() -> None:
    command = [sys.executable, "-m", "tools.fuzz", "--seed", "0", "--case", "17"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "1 cases, 0 failed"
