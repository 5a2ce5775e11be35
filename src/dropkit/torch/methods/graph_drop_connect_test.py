import pytest
import torch

from dropkit import DropkitError
from dropkit.torch import GraphDropConnect


def test_blocks_that_do_not_divide_the_channels_are_refused_at_the_first_call() -> None:
    with pytest.raises(DropkitError, match=r"\(k c\)"):
        GraphDropConnect(0.5, blocks=3)(torch.ones(2, 4), key=1)


def test_the_expected_mask_of_evaluation_is_an_option() -> None:
    x = torch.ones(4, 6)
    assert GraphDropConnect(0.25, 3, scale="eval").eval()(x).unique().tolist() == [0.75]
    assert GraphDropConnect(0.25, 3).eval()(x) is x
