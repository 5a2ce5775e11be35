"""Ordered dropout: a chain of linear layers that runs at a random width, by smaller products."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable
from typing import Unpack

import torch
from torch import nn

from dropkit.core.check import DropkitError, Interval, check_each, check_kind
from dropkit.methods.ordered_dropout import chosen_width, kept_units
from dropkit.torch import draws
from dropkit.torch.check import check_source
from dropkit.torch.functional import Source
from dropkit.torch.stochastic import Stochastic

__all__ = ["OrderedDropout"]

Tensor = torch.Tensor
_WIDTH = Interval(0, 1, "give a share of the units, e.g. 0.5", open_low=True)


class OrderedDropout(Stochastic):
    """Runs a chain of linear layers with only the first units of each hidden one (Horvath et al. 2021).

    In training one width w is drawn a call, each alike; a hidden layer of K units keeps the first
    ceil(w K), and its products are that much smaller. Nothing is rescaled. Evaluation runs at full width.
    The last layer keeps all its outputs. Drawing the width waits for the device.

    Args:
        layers: linear layers with modules without parameters between them that act on each unit alone, such
            as activations.
        widths: shares of the units that are kept, each in (0, 1].

    Raises:
        DropkitError: there are less than two linear layers, their sizes do not follow each other, another
            module has parameters, or a width is out of range.

    >>> model = OrderedDropout(nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2)), (0.5, 1.0))
    >>> model(torch.ones(4, 3)).shape, model.submodel(0.5)[0]
    (torch.Size([4, 2]), Linear(in_features=3, out_features=4, bias=True))
    """

    def __init__(self, layers: nn.Sequential, widths: Iterable[float] = (0.25, 0.5, 0.75, 1.0)) -> None:
        super().__init__()
        self.layers, self.widths = _chain(layers), check_each("widths", widths, _WIDTH)
        if not self.widths:
            raise DropkitError("widths", "has at least one width", self.widths, "write e.g. (0.5, 1.0)")

    @property
    def can_draw(self) -> bool:
        """Whether a call that draws could change anything."""
        return bool(min(self.widths) < 1)

    def forward(self, input: Tensor, *, width: float | None = None, **source: Unpack[Source]) -> Tensor:
        """Run the layers at a random width in training, at full width otherwise.

        Args:
            input: what the first layer takes.
            width: the share of the units to run with, whatever the mode, in (0, 1].
            **source: `key` and `generator`; see `dropkit.torch.functional.Source`.

        Raises:
            DropkitError: the width is out of range.
        """
        check_source(**source)
        if width is None:
            width = self._drawn(**self.source(source)) if self.drawing else 1.0
        else:
            width = _WIDTH.check("width", width)
        if width == 1:
            y: Tensor = self.layers(input)
            return y
        smaller = {
            f"{name}.{kind}": value
            for name, layer in self._cut(width).items()
            for kind, value in layer.items()
        }
        cut: Tensor = torch.func.functional_call(self.layers, smaller, (input,))
        return cut

    def submodel(self, width: float) -> nn.Sequential:
        """Return the network of a width as layers of their own, with copies of the weights.

        Args:
            width: the share of the hidden units that it keeps, in (0, 1].

        Raises:
            DropkitError: the width is out of range.
        """
        cut = self._cut(_WIDTH.check("width", width))
        small = copy.deepcopy(self.layers)
        for name, layer in small.named_children():
            if isinstance(layer, nn.Linear):
                layer.out_features, layer.in_features = cut[name]["weight"].shape
                for kind, value in cut[name].items():
                    setattr(layer, kind, nn.Parameter(value.detach().clone()))
        return small

    def _drawn(self, **source: Unpack[Source]) -> float:
        # The decision is drawn on the CPU, as that of a skipped layer is: asking a GPU would stop it.
        word = draws.words(torch.empty(1), (1,), "... -> ", **source)
        return chosen_width(draws.numbers(word)[0], self.widths)

    def _cut(self, width: float) -> dict[str, dict[str, Tensor]]:
        """The first rows and columns of each weight: the ends of the chain stay whole."""
        chain = _linear(self.layers)
        last, cut, columns = len(chain) - 1, {}, chain[0][1].in_features
        for i, (name, layer) in enumerate(chain):
            rows = layer.out_features if i == last else kept_units(layer.out_features, width)
            bias = {} if layer.bias is None else {"bias": layer.bias[:rows]}
            cut[name] = {"weight": layer.weight[:rows, :columns], **bias}
            columns = rows
        return cut

    def extra_repr(self) -> str:
        """Show the widths."""
        return f"widths={self.widths}"


def _linear(layers: nn.Sequential) -> list[tuple[str, nn.Linear]]:
    return [(name, layer) for name, layer in layers.named_children() if isinstance(layer, nn.Linear)]


def _chain(layers: nn.Sequential) -> nn.Sequential:
    """Refuse what cannot be cut by its first units."""
    check_kind("layers", layers, nn.Sequential, "give the layers in order, e.g. nn.Sequential(...)")
    chain = _linear(layers)
    if len(chain) < 2:
        raise DropkitError(
            "layers", "has two linear layers at least", len(chain), "give the hidden layer too"
        )
    for (_, layer), (name, following) in itertools.pairwise(chain):
        if layer.out_features != following.in_features:
            rule = f"of {name!r} is the number of units before it, {layer.out_features}"
            raise DropkitError("in_features", rule, following.in_features, "leave out what lies between")
    for name, module in layers.named_children():
        if not isinstance(module, nn.Linear) and list(module.parameters()):
            rule = "have no parameters but those of linear layers"
            mend = "wrap the layers around it"
            raise DropkitError("layers", rule, f"{name}: {type(module).__name__}", mend)
    return layers
