"""Random layerwise token dropping for torch: a wrapper around a middle layer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from dropkit.core.check import DropkitError, check_kind
from dropkit.core.rate import Schedule
from dropkit.torch.rated import Rated
from dropkit.torch.subsets import check_prefix, chosen, gather

__all__ = ["TokenDropping"]

Tensor = torch.Tensor


class TokenDropping(Rated):
    """Random tokens skip a layer in training and come back in place behind it.

    y_S = layer(x_S) for a random subset S of round((1 - p) n) of n tokens, in their order; y = x elsewhere
    (random-LTD, Yao et al. 2022). In evaluation the layer gets all tokens. Wrap `nn.Sequential` to let the
    same tokens skip several layers.

    Args:
        layer: maps (batch, tokens, features) to that shape, or to a tuple that begins with it; it keeps its
            weights, under the name `layer`.
        p: the share of tokens that skips it, in [0, 1], or a schedule; one token at least goes
            through. Lower it during training, by a schedule or `wrapper.p = ...`.
        prefix: how many leading positions never skip it.
        per_token: names of keyword arguments (batch, tokens, ...) of the layer that are cut like the tokens.
        square: names of keyword arguments (tokens, tokens) that are cut to the new length at the end: right
            for causal masks, since the order stays.

    Raises:
        DropkitError: layer is no module, p lies outside [0, 1], or prefix is no count.

    >>> layer = TokenDropping(nn.Linear(4, 4), 0.5)
    >>> x = torch.randn(2, 10, 4)
    >>> (layer(x) == x).all(-1).sum(-1)
    tensor([5, 5])
    """

    def __init__(
        self,
        layer: nn.Module,
        p: float | Schedule = 0.5,
        prefix: int = 0,
        *,
        per_token: Iterable[str] = ("src_key_padding_mask",),
        square: Iterable[str] = ("src_mask",),
    ) -> None:
        super().__init__(p)
        self.layer = check_kind("layer", layer, nn.Module, "wrap the layer itself")
        self.prefix = check_prefix(prefix)
        self.per_token, self.square = _names("per_token", per_token), _names("square", square)

    def forward(
        self,
        input: Tensor,
        *,
        protected: Tensor | None = None,
        key: Any = None,
        generator: torch.Generator | None = None,
        **arguments: Any,
    ) -> Any:
        """Run the layer on part of the tokens in training, on all of them otherwise.

        Args:
            input: (batch, tokens, features).
            protected: further positions that never skip the layer, bool (batch, tokens). Each sample then
                skips as many tokens as the one with the fewest unprotected ones can.
            key: as in every layer; the wrapped layer draws by itself.
            generator: as in every layer.
            **arguments: of the layer.

        Raises:
            DropkitError: the input has other axes, `protected` does not fit, or the layer changes the shape.
        """
        places = None
        if self.drawing and self.can_draw:
            source = self.source({"key": key, "generator": generator})
            places = chosen(input, self.p, self.prefix, protected, source)
        if places is None:
            return self.layer(input, **arguments)
        part = gather(input, places)
        y = self.layer(part, **self._cut(arguments, places))
        first, *rest = y if isinstance(y, tuple) else (y,)
        whole = _put_back(input, first, places)
        return (whole, *rest) if isinstance(y, tuple) else whole

    def _cut(self, arguments: dict[str, Any], places: Tensor) -> dict[str, Any]:
        count = places.shape[1]
        cut = {name: gather(arguments[name], places) for name in self.per_token if _given(arguments, name)}
        cut |= {name: arguments[name][:count, :count] for name in self.square if _given(arguments, name)}
        return arguments | cut

    def extra_repr(self) -> str:
        """Show the prefix too."""
        return f"{super().extra_repr()}, prefix={self.prefix}"


def _given(arguments: dict[str, Any], name: str) -> bool:
    return arguments.get(name) is not None


def _names(argument: str, names: Any) -> tuple[str, ...]:
    if isinstance(names, str):
        raise DropkitError(argument, "is a list of names", names, f"write ({names!r},)")
    return tuple(check_kind(argument, name, str, "name keyword arguments of the layer") for name in names)


def _put_back(input: Tensor, part: Any, places: Tensor) -> Tensor:
    wanted = (*places.shape, *input.shape[2:])
    if not isinstance(part, Tensor) or tuple(part.shape) != wanted:
        rule = f"returns a tensor of the shape that it is given, {wanted}"
        given = tuple(part.shape) if isinstance(part, Tensor) else type(part).__name__
        raise DropkitError("layer", rule, given, "wrap a layer that keeps the shape")
    return input.scatter(1, places[..., None].expand(wanted), part.to(input.dtype))
