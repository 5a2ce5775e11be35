"""Defects that others shipped: each check passes what is here and catches the lines that were wrong there."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dropkit.core.rate import ONE
from dropkit.core.reference import draws
from dropkit.torch import (
    AlphaDropout,
    DropAttention,
    DropKey,
    Dropout,
    EmbeddingDropout,
    FeatureAlphaDropout,
    functional,
)

SHAPE, KEY = (1, 1, 64, 512), 11
SMALL = 0.001
U = draws(KEY, SHAPE).u
Decide = Callable[[float], np.ndarray]


def check_small_rates(dropped: Decide) -> None:
    """Planted: between a rate of 0.001 and one of 1/255 lie entries that must stay, below it all fall."""
    between = (round(SMALL * ONE) <= U) & (ONE // 255 > U)
    assert between.sum() > 50
    assert not dropped(SMALL)[between].any()
    assert dropped(SMALL)[round(SMALL * ONE) > U].all()
    nearest = U.ravel()[np.abs(U - SMALL * ONE).argmin()]
    at, above = (dropped(int(word) / ONE) for word in (nearest, nearest + 1))
    assert np.array_equal(at ^ above, nearest == U)


ONES = torch.ones(SHAPE, dtype=torch.float64)
EVEN = torch.full(SHAPE, 1 / 512, dtype=torch.float64)
DECIDED: dict[str, Decide] = {
    "layer": lambda rate: (Dropout(rate)(ONES, key=KEY) == 0).numpy(),
    "function": lambda rate: (functional.dropout(ONES, rate, key=KEY) == 0).numpy(),
    "weights of attention": lambda rate: (DropAttention(rate, "element")(EVEN, key=KEY) == 0).numpy(),
    "keys of attention": lambda rate: (DropKey(rate)(ONES, key=KEY) == -torch.inf).numpy(),
}


@pytest.mark.parametrize("name", DECIDED)
def test_a_rate_of_a_thousandth_is_not_rounded_to_a_255th(name: str) -> None:
    check_small_rates(DECIDED[name])


def test_a_keep_probability_of_8_bits_is_caught() -> None:
    # flash-attn: kept where a byte is at most floor((1 - rate) 255).
    with pytest.raises(AssertionError):
        check_small_rates(lambda rate: int((1 - rate) * 255) < 255 - (U >> 24))


Look = Callable[[nn.Embedding, Tensor], Tensor]


def check_table(look: Look) -> None:
    """Evaluation changes no weight, whatever scale it applies, however often it is called."""
    table = nn.Embedding(6, 3)
    before, ids = table.weight.detach().clone(), torch.tensor([[0, 5, 2]])
    first, second = look(table, ids), look(table, ids)
    assert torch.equal(first, second)
    assert torch.equal(table.weight, before)
    first.detach().mul_(0)
    assert torch.equal(table.weight, before)


@pytest.mark.parametrize("scale", ["train", "eval", "none"])
def test_embedding_dropout_in_evaluation_leaves_the_table_alone(scale: str) -> None:
    check_table(lambda table, ids: EmbeddingDropout(table, 0.3, scale=scale).eval()(ids))  # type: ignore[arg-type]  # a word of the list


def test_a_table_that_is_scaled_in_place_is_caught() -> None:
    # fastai: in evaluation the masked table is the table itself, and the scale is multiplied into it.
    def look(table: nn.Embedding, ids: Tensor) -> Tensor:
        with torch.no_grad():
            masked = table.weight.mul_(0.7)
        return F.embedding(ids, masked)

    with pytest.raises(AssertionError):
        check_table(look)


def check_inplace(layer: nn.Module) -> None:
    """What says inplace=True returns the very tensor, in the memory where it lay, and changed."""
    x = torch.ones(8, 4, 3)
    before, memory = x.clone(), x.data_ptr()
    y = layer.train()(x)
    assert y is x
    assert y.data_ptr() == memory
    assert not torch.equal(x, before)


@pytest.mark.parametrize("kind", [AlphaDropout, FeatureAlphaDropout])
def test_alpha_dropout_in_place_is_in_place(kind: Callable[..., nn.Module]) -> None:
    torch.manual_seed(0)
    check_inplace(kind(0.5, inplace=True))


def test_alpha_dropout_that_forgets_its_argument_is_caught() -> None:
    class Forgetful(nn.AlphaDropout):
        def forward(self, input: Tensor) -> Tensor:
            return F.alpha_dropout(input, self.p, self.training)

    with pytest.raises(AssertionError):
        check_inplace(Forgetful(0.5, inplace=True))
