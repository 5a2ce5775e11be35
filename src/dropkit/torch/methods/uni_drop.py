"""UniDrop for torch: rates of a model in one call, and a layer that drops words in two stages."""

from __future__ import annotations

from typing import Any, TypeVar, Unpack

import torch
from torch import nn

from dropkit.core.check import RATE, DropkitError
from dropkit.core.schedule import Schedule
from dropkit.methods.uni_drop import dropped_words
from dropkit.torch import draws
from dropkit.torch.configure import encoder_layers, given_rates, set_fields
from dropkit.torch.depth import skips, with_zero_gradients
from dropkit.torch.functional import Source
from dropkit.torch.rated import Rated
from dropkit.torch.subsets import check_prefix, check_tokens, free_tokens

__all__ = ["DataDropout", "SkippedLayer", "uni_drop"]

Tensor = torch.Tensor
Target = TypeVar("Target")
_FIELDS = {
    "attention": ("attention_probs_dropout_prob", "attention_dropout"),
    "activation": ("activation_dropout",),
    "output": ("classifier_dropout",),
    "layer": ("encoder_layerdrop", "decoder_layerdrop", "layerdrop"),
}


class DataDropout(Rated):
    """Words of an embedded text become 0 in two stages (Wu et al. 2021).

    A text stays whole with probability `keep`; of any other one, each word falls with probability p. What is
    left is not scaled. Evaluation is the identity. The paper removes words; here their places stay, and
    what attention shall not see is hidden by its own mask.

    Args:
        p: the probability that a word falls in a text that does not stay whole, in [0, 1], or a schedule.
        keep: the probability that a text stays whole, in [0, 1].
        prefix: how many leading positions never fall.

    Raises:
        DropkitError: p or keep lies outside [0, 1], or prefix is no count.

    >>> DataDropout(1.0, keep=0.5)(torch.ones(4, 2, 1), key=2).squeeze(-1)
    tensor([[1., 1.],
            [0., 0.],
            [0., 0.],
            [0., 0.]])
    """

    def __init__(self, p: float | Schedule = 0.1, keep: float = 0.5, prefix: int = 0) -> None:
        super().__init__(p)
        self.keep, self.prefix = RATE.check("keep", keep), check_prefix(prefix)

    def forward(self, input: Tensor, *, protected: Tensor | None = None, **source: Unpack[Source]) -> Tensor:
        """Drop words in training, return the very `input` otherwise.

        Args:
            input: (batch, words, features).
            protected: further positions that never fall, bool (batch, words).
            **source: `key` and `generator`; see `dropkit.torch.functional.Source`.

        Raises:
            DropkitError: the input has other axes, or `protected` does not fit.
        """
        if not (self.drawing and self.can_draw):
            return input
        check_tokens(input)
        free = free_tokens(input, self.prefix, protected)
        if input.numel() == 0:
            return input
        source = self.source(source)
        words = draws.words(input, free.shape, "b n -> b n", **draws.fold("words", source))
        whole = draws.words(input, (len(free), 1), "b n -> b n", **draws.fold("sequences", source))
        gone = free & dropped_words(words, whole, self.p, self.keep, torch)
        return torch.where(gone[..., None], 0.0, input)

    def extra_repr(self) -> str:
        """Show the other arguments too."""
        return f"{super().extra_repr()}, keep={self.keep}, prefix={self.prefix}"


class SkippedLayer(Rated):
    """A layer that is skipped with one coin a call, as LayerDrop does (Fan et al. 2020).

    What is skipped is not computed: a coin decides in Python, which breaks a graph. Its parameters get
    gradients of 0, as in `LayerDropList`. Other attributes are those of the layer, so that
    `nn.TransformerEncoder` finds what it looks for.

    Args:
        layer: maps an input to its own shape; it keeps its weights, under the name `layer`.
        p: the probability that a call returns its input, in [0, 1], or a schedule.
    """

    def __init__(self, layer: nn.Module, p: float | Schedule) -> None:
        super().__init__(p)
        self.layer = layer

    def forward(self, input: Tensor, *arguments: Any, **named: Any) -> Any:
        """Return the input or what the layer makes of it."""
        if self.drawing and self.can_draw and skips([self.p], **self.source({}))[0]:
            return with_zero_gradients(input, [self.layer])
        return self.layer(input, *arguments, **named)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name.startswith("_") or "layer" not in self.__dict__.get("_modules", {}):
                raise
            return getattr(self.layer, name)


def uni_drop(
    target: Target,
    *,
    attention: float | None = None,
    activation: float | None = None,
    output: float | None = None,
    layer: float | None = None,
) -> Target:
    """Set the rates of a transformer's features and layers, and return it (UniDrop, Wu et al. 2021).

    The third kind, words of the data, is `DataDropout` behind the embeddings. Dropout of queries, keys and
    values needs an attention of one's own: `nn.MultiheadAttention` has no place for it. Dropout of torch
    stays torch's: call `dropkit.surgery.use_dropkit` where `dropkit.torch.under_key` or `set_rates` shall
    reach it.

    Args:
        target: an `nn.TransformerEncoder`, or a module with some, which is changed in place: where `layer` is
            given, its layers are wrapped in `SkippedLayer`s. Or a configuration, e.g.
            `transformers.BartConfig`, before the model is made from it.
        attention: of attention weights, in [0, 1]; what is left out stays as it is.
        activation: between the two maps of the feed-forward block.
        output: of the classifier's input; for configurations alone.
        layer: the probability that a layer is skipped.

    Returns:
        the target.

    Raises:
        DropkitError: a rate lies outside [0, 1], or the target has no place for one that is given.

    >>> layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    >>> encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    >>> [wrapped.p for wrapped in uni_drop(encoder, attention=0.2, layer=0.1).layers]
    [0.1, 0.1]
    """
    rates = {"attention": attention, "activation": activation, "output": output, "layer": layer}
    given = given_rates(rates)
    if not isinstance(target, nn.Module):
        set_fields(target, given, _FIELDS)
        return target
    if "output" in given:
        mend = "set the rate of the dropout before your classifier"
        raise DropkitError("output", "goes with a configuration", type(target).__name__, mend)
    for found in encoder_layers(target):
        _set_layer(found, given)
    if "layer" in given:
        _wrap_layers(target, given["layer"])
    return target


def _set_layer(layer: nn.TransformerEncoderLayer, rates: dict[str, float]) -> None:
    if "attention" in rates:
        layer.self_attn.dropout = rates["attention"]
    if "activation" in rates:
        layer.dropout.p = rates["activation"]


def _wrap_layers(model: nn.Module, p: float) -> None:
    stacks = [module for module in model.modules() if isinstance(module, nn.TransformerEncoder)]
    if not stacks:
        mend = "give the nn.TransformerEncoder: its layers are what can be skipped"
        raise DropkitError("layer", "goes with an nn.TransformerEncoder", type(model).__name__, mend)
    for stack in stacks:
        for i, each in enumerate(stack.layers):
            if isinstance(each, SkippedLayer):
                each.p = p
            else:
                stack.layers[i] = SkippedLayer(each, p).train(each.training)
