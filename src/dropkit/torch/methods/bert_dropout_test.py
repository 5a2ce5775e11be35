from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

import dropkit
from dropkit import DropkitError
from dropkit.torch import bert_dropout


def encoder() -> nn.TransformerEncoder:
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.3, batch_first=True)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)


def test_the_sites_of_an_encoder_have_berts_rates_and_the_inner_activation_does_not_drop() -> None:
    model = encoder()
    assert bert_dropout(model, 0.1, attention=0.2) is model
    for layer in model.layers:
        assert isinstance(layer, nn.TransformerEncoderLayer)
        assert layer.self_attn.dropout == 0.2
        assert [layer.dropout1.p, layer.dropout2.p, layer.dropout.p] == [0.1, 0.1, 0.0]


def test_it_draws_in_training_and_in_mode_mc_alone() -> None:
    torch.manual_seed(0)
    model, x = bert_dropout(encoder(), 0.5), torch.randn(2, 5, 8)
    assert not torch.equal(model(x), model(x))
    model.eval()
    assert torch.equal(model(x), model(x))
    with dropkit.mode(model, "mc"):
        assert not torch.equal(model(x), model(x))


def test_a_configuration_of_transformers_takes_the_rates() -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is an optional package")
    config = bert_dropout(transformers.BertConfig(), 0.2, attention=0.3)
    assert config.hidden_dropout_prob == config.classifier_dropout == 0.2
    assert config.attention_probs_dropout_prob == 0.3


def test_a_configuration_without_a_classifier_is_taken_too() -> None:
    config = bert_dropout(SimpleNamespace(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0), 0.2)
    assert vars(config) == {"hidden_dropout_prob": 0.2, "attention_probs_dropout_prob": 0.2}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bert_dropout(encoder(), 1.1), "rate must be a number in"),
        (lambda: bert_dropout(encoder(), attention=-1), "attention must be a number in"),
        (lambda: bert_dropout(encoder(), classifier=0.1), "classifier goes with a configuration"),
        (lambda: bert_dropout(nn.Linear(2, 2)), "target has an nn.TransformerEncoderLayer"),
        (lambda: bert_dropout(SimpleNamespace(dropout=0.1)), "rate has a field for it"),
        (
            lambda: bert_dropout(
                SimpleNamespace(hidden_dropout_prob=0, attention_probs_dropout_prob=0), classifier=0.1
            ),
            "classifier has a field for it, one of classifier_dropout",
        ),
    ],
)
def test_what_is_wrong_is_said(call: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        call()


def test_nothing_is_changed_where_something_is_refused() -> None:
    config = SimpleNamespace(hidden_dropout_prob=0.0)
    with pytest.raises(DropkitError, match="attention has a field"):
        bert_dropout(config, 0.2)
    assert config.hidden_dropout_prob == 0.0
