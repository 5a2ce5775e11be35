import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dropkit.torch import functional, replace_functional, scaled_dot_product_attention


class Calls(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.dropout(x, 0.5, self.training)


def test_calls_of_functions_draw_as_ours_until_the_block_ends() -> None:
    x, model = torch.ones(64), Calls()
    with replace_functional():
        torch.manual_seed(1)
        inside = model(x)
        assert torch.equal(model.eval()(x), x)
    torch.manual_seed(1)
    assert torch.equal(functional.dropout(x, 0.5), inside)
    torch.manual_seed(1)
    assert not torch.equal(model.train()(x), inside)


def test_attention_with_dropout_is_ours_and_without_it_torchs() -> None:
    q, k, v = torch.randn(3, 1, 2, 9, 8).unbind(0)
    own = F.scaled_dot_product_attention(q, k, v)
    with replace_functional():
        torch.manual_seed(1)
        dropped = F.scaled_dot_product_attention(q, k, v, None, 0.3)
        assert torch.equal(F.scaled_dot_product_attention(q, k, v), own)
        assert torch.equal(scaled_dot_product_attention(q, k, v, dropout_p=0.3, training=False), own)
    torch.manual_seed(1)
    assert torch.equal(scaled_dot_product_attention(q, k, v, dropout_p=0.3), dropped)


def test_the_functions_come_back_after_an_error_too() -> None:
    before = F.dropout, F.alpha_dropout, F.scaled_dot_product_attention
    with pytest.raises(ZeroDivisionError), replace_functional():
        raise ZeroDivisionError
    assert (F.dropout, F.alpha_dropout, F.scaled_dot_product_attention) == before


def test_blocks_that_overlap_restore_torch_when_the_last_one_ends() -> None:
    before = F.dropout
    one, other = replace_functional(), replace_functional()
    one.__enter__()
    other.__enter__()
    one.__exit__(None, None, None)
    assert F.dropout is not before
    other.__exit__(None, None, None)
    assert F.dropout is before


@pytest.mark.parametrize(
    ("query", "keys"), [((6, 8), (6, 8)), ((2, 3, 6, 8), (1, 3, 6, 8)), ((6, 8), (4, 5, 8))]
)
def test_attention_takes_what_torchs_takes(query: tuple[int, ...], keys: tuple[int, ...]) -> None:
    q, k = torch.randn(query), torch.randn(keys)
    plain = F.scaled_dot_product_attention(q, k, k)
    with replace_functional():
        found = F.scaled_dot_product_attention(q, k, k, dropout_p=1e-9)
    torch.testing.assert_close(found, plain)
