from typing import Any

import pytest
import torch
from torch import nn

from dropkit import DropkitError
from dropkit.torch import scaled_dot_product_attention
from dropkit.torch import transformers_attention as ours

transformers = pytest.importorskip("transformers", reason="transformers is an optional package")

SIZES: dict[str, int] = {
    "vocab_size": 20,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 24,
}


def bert(rate: float) -> Any:
    torch.manual_seed(0)
    return transformers.BertModel(
        transformers.BertConfig(**SIZES, hidden_dropout_prob=0.0, attention_probs_dropout_prob=rate)
    )


def gpt(rate: float) -> Any:
    torch.manual_seed(0)
    return transformers.GPT2Model(
        transformers.GPT2Config(**SIZES, attn_pdrop=rate, resid_pdrop=0.0, embd_pdrop=0.0)
    )


def llama(rate: float) -> Any:
    """Two key heads for four heads."""
    torch.manual_seed(0)
    config = transformers.LlamaConfig(**SIZES, num_key_value_heads=2, attention_dropout=rate)
    return transformers.LlamaModel(config)


def t5(rate: float) -> Any:
    """With a bias of positions in the place of embeddings; it scales nothing."""
    torch.manual_seed(0)
    sizes = {"vocab_size": 20, "d_model": 16, "d_kv": 4, "num_heads": 4, "num_layers": 2, "d_ff": 24}
    model = transformers.T5EncoderModel(transformers.T5Config(**sizes, dropout_rate=rate))
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return model


IDS = torch.arange(14).reshape(2, 7)
PADDED = torch.tensor([[1] * 7, [1] * 4 + [0] * 3])


@pytest.mark.parametrize("mask", [None, PADDED])
@pytest.mark.parametrize("make", [bert, gpt, llama, t5])
def test_in_evaluation_it_is_sdpa_and_in_training_it_drops(make: Any, mask: Any, monkeypatch: Any) -> None:
    model = make(0.4)
    before = model.eval()(IDS, attention_mask=mask)[0]
    ours.use_attention(model)
    assert torch.equal(model.eval()(IDS, attention_mask=mask)[0], before)
    model.train()
    torch.manual_seed(1)
    first = model(IDS, attention_mask=mask)[0]
    assert not torch.equal(first, model(IDS, attention_mask=mask)[0])
    torch.manual_seed(1)
    assert torch.equal(model(IDS, attention_mask=mask)[0], first)


@pytest.mark.parametrize("mask", [None, PADDED])
@pytest.mark.parametrize("make", [bert, gpt, llama, t5])
def test_at_a_rate_that_drops_nothing_it_is_sdpa(make: Any, mask: Any) -> None:
    quiet, plain = make(1e-12), make(1e-12).eval()
    ours.use_attention(quiet)
    calls: list[float] = []

    def noted(*arguments: Any, **settings: Any) -> torch.Tensor:
        calls.append(arguments[4])
        return scaled_dot_product_attention(*arguments, **settings)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ours, "scaled_dot_product_attention", noted)
        y = quiet.train()(IDS, attention_mask=mask)[0]
    seen = torch.ones_like(IDS, dtype=torch.bool) if mask is None else mask.bool()
    torch.testing.assert_close(y[seen], plain(IDS, attention_mask=mask)[0][seen], rtol=1e-4, atol=1e-5)
    assert calls == [1e-12, 1e-12]


@pytest.mark.parametrize("make", [bert, gpt, llama, t5])
def test_torch_draws_nothing(make: Any) -> None:
    """All that is random comes from here: the number that torch's own attention would take is not taken."""
    model = make(0.4)
    ours.use_attention(model)
    drawn: list[float] = []

    def never(*arguments: Any, **settings: Any) -> torch.Tensor:
        drawn.append(settings.get("dropout_p", 0.0))
        return torch.zeros(())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nn.functional, "scaled_dot_product_attention", never)
        model.train()(IDS)
    assert not drawn


def sinks() -> Any:
    sizes = SIZES | {"num_key_value_heads": 2, "head_dim": 4, "num_local_experts": 2}
    return transformers.GptOssModel(transformers.GptOssConfig(**sizes, num_experts_per_tok=1))


def capped() -> Any:
    config = transformers.Gemma2Config(**SIZES, num_key_value_heads=2, head_dim=4, attention_dropout=0.1)
    return transformers.Gemma2Model(config)


def apart() -> Any:
    """Its attention is written in its layers."""
    return transformers.BloomModel(
        transformers.BloomConfig(vocab_size=20, hidden_size=16, n_layer=1, n_head=4)
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Linear(2, 2), "is a model of transformers, got 'Linear'"),
        (sinks, "can attend by 'sdpa', got 'GptOssModel'"),
        (apart, "can attend by 'sdpa', got 'BloomModel'"),
        (capped, "can attend by 'sdpa', got 'Gemma2Model'"),
    ],
)
def test_other_models_are_refused_and_left_as_they_are(make: Any, message: str) -> None:
    model = make()
    before = getattr(getattr(model, "config", None), "_attn_implementation", None)
    with pytest.raises(DropkitError, match=message):
        ours.use_attention(model)
    assert getattr(getattr(model, "config", None), "_attn_implementation", None) == before


@pytest.mark.parametrize("rate", [0.0, 0.1])
@pytest.mark.parametrize("told", [{"softcap": 50.0}, {"s_aux": torch.zeros(4)}])
def test_what_changes_the_attention_is_refused_where_it_attends(told: dict[str, Any], rate: float) -> None:
    q = torch.zeros(1, 4, 2, 4)
    with pytest.raises(DropkitError, match=f"attends without {next(iter(told))}, got 'Linear'"):
        ours._attend(nn.Linear(1, 1), q, q, q, None, dropout=rate, **told)
