"""BERT's scheme of dropout for torch: a function that sets the rates of a model or a configuration."""

from __future__ import annotations

from typing import Any, TypeVar

from torch import nn

from dropkit.core.check import RATE, DropkitError
from dropkit.torch.configure import encoder_layers, given_rates, set_fields

__all__ = ["bert_dropout"]

Target = TypeVar("Target")
_FIELDS = {
    "rate": ("hidden_dropout_prob",),
    "attention": ("attention_probs_dropout_prob",),
    "classifier": ("classifier_dropout",),
}


def bert_dropout(
    target: Target, rate: float = 0.1, *, attention: float | None = None, classifier: float | None = None
) -> Target:
    """Set the rates of an encoder as BERT does, and return it (Devlin et al. 2019).

    Embeddings, attention weights, the outputs of attention and of the feed-forward block, and the input of
    the classifier drop at one rate; the inner activation of the feed-forward block does not drop. Dropout of
    torch stays torch's: call `dropkit.surgery.use_dropkit` where `dropkit.torch.under_key` or `set_rates`
    shall reach it.

    Args:
        target: a module with `nn.TransformerEncoderLayer`s, whose embeddings and classifier are the user's
            own; or a configuration with BERT's fields, e.g. `transformers.BertConfig`, before the model is
            made from it. It is changed in place.
        rate: of embeddings and outputs, in [0, 1].
        attention: of attention weights; that of `rate` if left out.
        classifier: of the classifier's input; for a configuration that has a field for it, that of `rate` if
            left out.

    Returns:
        the target.

    Raises:
        DropkitError: a rate lies outside [0, 1], or the target has no place for one that is given.

    >>> layer = bert_dropout(nn.TransformerEncoderLayer(8, 2, 16), 0.2)
    >>> layer.self_attn.dropout, layer.dropout1.p, layer.dropout2.p, layer.dropout.p
    (0.2, 0.2, 0.2, 0.0)
    """
    rate = RATE.check("rate", rate)
    given = given_rates({"attention": attention, "classifier": classifier})
    if isinstance(target, nn.Module):
        if "classifier" in given:
            mend = "set the rate of the dropout before your classifier"
            raise DropkitError("classifier", "goes with a configuration", type(target).__name__, mend)
        _set_layers(target, rate, given.get("attention", rate))
        return target
    rates = {"rate": rate, "attention": rate} | given
    if any(hasattr(target, name) for name in _FIELDS["classifier"]):
        rates.setdefault("classifier", rate)
    set_fields(target, rates, _FIELDS)
    return target


def _set_layers(model: nn.Module, rate: float, attention: float) -> None:
    for layer in encoder_layers(model):
        layer.self_attn.dropout = attention
        places: list[tuple[Any, float]] = [
            (layer.dropout1, rate),
            (layer.dropout2, rate),
            (layer.dropout, 0.0),
        ]
        for dropout, p in places:
            dropout.p = p
