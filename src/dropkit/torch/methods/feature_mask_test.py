import pytest
import torch

from dropkit.torch import FeatureMask


@pytest.mark.parametrize("per", ["column", "row", "entry"])
def test_a_masked_entry_is_0_and_the_others_are_untouched(per: str) -> None:
    x = torch.full((30, 40), torch.pi)
    y = FeatureMask(0.5, per)(x, key=1)  # type: ignore[arg-type]  # one of the words
    assert set(y.unique().tolist()) == {0.0, x[0, 0].item()}


def test_evaluation_returns_the_input_itself() -> None:
    x = torch.ones(3, 4)
    assert FeatureMask(0.5).eval()(x) is x
