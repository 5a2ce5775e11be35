import torch

from dropkit.experiments.word_dropout import WordDropout
from dropkit.torch import InputDropout

WORDS = torch.randint(0, 9, (50, 40), generator=torch.Generator().manual_seed(0))


def test_a_word_goes_where_input_dropout_would_drop_it_and_padding_stays() -> None:
    torch.manual_seed(3)
    dropped = WordDropout(0.3)(WORDS)
    torch.manual_seed(3)
    gone = (InputDropout(0.3)(torch.ones(WORDS.shape)) == 0) & (WORDS != 0)
    assert gone.any()
    assert torch.equal(dropped, WORDS.masked_fill(gone, 1))
    assert dropped.dtype == torch.int64


def test_nothing_is_replaced_in_eval_mode_or_at_rate_0() -> None:
    assert torch.equal(WordDropout(0.9).eval()(WORDS), WORDS)
    assert torch.equal(WordDropout(0.0)(WORDS), WORDS)
