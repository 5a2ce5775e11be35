"""Random layerwise token dropping for torch: a wrapper around a middle layer."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from dropkit.core.check import DropkitError, check_kind
from dropkit.core.schedule import Schedule
from dropkit.torch.check import TensorError
from dropkit.torch.delegate import Delegate
from dropkit.torch.rated import Rated
from dropkit.torch.subsets import check_prefix, chosen, gather, gather_square

__all__ = ["TokenDropping"]

Tensor = torch.Tensor


class TokenDropping(Delegate, Rated):
    """Random tokens skip a layer in training and come back in place behind it.

    y_S = layer(x_S) for a random subset S of round((1 - p) n) of n tokens, in their order; y = x elsewhere
    (random-LTD, Yao et al. 2022). In evaluation the layer gets all tokens. Wrap `nn.Sequential` to let the
    same tokens skip several layers. Attributes that it has not are those of the layer.

    Args:
        layer: maps (batch, tokens, features) to that shape, or to a tuple that begins with it; it keeps its
            weights, under the name `layer`.
        p: the share of tokens that skips it, in [0, 1], or a schedule; one token at least goes
            through. Lower it during training, by a schedule or `wrapper.p = ...`.
        prefix: how many leading positions never skip it.
        per_token: names of keyword arguments (batch, tokens, ...) of the layer that are cut like the tokens.
        square: names of keyword arguments (tokens, tokens), or with leading axes (batch, ...) or
            (batch heads, ...) before them, of which each sample keeps the rows and columns of its tokens.
            Where the caller says `is_causal=True`, a mask for all is cut to the new length, for the order
            stays; else it becomes one for each sample and head of the `nn.MultiheadAttention` inside.

    Raises:
        DropkitError: layer is no module, p lies outside [0, 1], or prefix is no count.

    >>> layer = TokenDropping(nn.Linear(4, 4), 0.5)
    >>> x = torch.randn(2, 10, 4)
    >>> (layer(x) == x).all(-1).sum(-1)
    tensor([5, 5])
    """

    inside = "layer"

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
        *positional: Any,
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
            *positional: further arguments of the layer, which goes by their names.
            **arguments: of the layer.

        Raises:
            DropkitError: the input has other axes, `protected` or a mask does not fit, a mask for all is not
                causal and the layer has no heads, an argument has no name, or the layer changes the shape.
        """
        arguments = self._named(positional, arguments) if positional else arguments
        places = None
        if self.drawing and self.can_draw:
            source = self.source({"key": key, "generator": generator})
            places = chosen(input, self.p, self.prefix, protected, source)
        if places is None:
            return self.layer(input, **arguments)
        part = gather(input, places)
        y = self.layer(part, **self._cut(arguments, places, input.shape[1]))
        first, *rest = y if isinstance(y, tuple) else (y,)
        whole = _put_back(input, first, places)
        return (whole, *rest) if isinstance(y, tuple) else whole

    def _named(self, positional: tuple[Any, ...], arguments: dict[str, Any]) -> dict[str, Any]:
        """Return all arguments by name: which of them are cut goes by that."""
        known = inspect.signature(self.layer.forward).parameters.values()
        kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        names = [parameter.name for parameter in known if parameter.kind in kinds][1:]
        if len(positional) > len(names) or arguments.keys() & set(names[: len(positional)]):
            rule = f"are given once, in the order of the layer's own, {names}"
            raise DropkitError("arguments", rule, f"{len(positional)} by place", "give them by name")
        return dict(zip(names, positional, strict=False)) | arguments

    def _cut(self, arguments: dict[str, Any], places: Tensor, tokens: int) -> dict[str, Any]:
        cut: dict[str, Any] = {}
        given = {name: value for name, value in arguments.items() if value is not None}
        for name in given.keys() & set(self.per_token):
            cut[name] = gather(_checked(name, given[name], len(places), tokens), places)
        for name in given.keys() & set(self.square):
            mask = _checked_square(name, given[name], len(places), tokens)
            cut[name] = self._cut_square(name, mask, places, bool(given.get("is_causal")))
        return arguments | cut

    def _cut_square(self, name: str, mask: Tensor, places: Tensor, causal: bool) -> Tensor:
        batch, count = places.shape
        if mask.dim() > 2:
            return gather_square(mask, places)
        shorter = mask[:count, :count]
        if causal:
            return shorter
        own = gather_square(mask.expand(batch, *mask.shape), places)
        heads = [part.num_heads for part in self.layer.modules() if isinstance(part, nn.MultiheadAttention)]
        if heads:
            return own.repeat_interleave(heads[0], 0)
        if not torch.equal(own, shorter.expand_as(own)):
            rule = "is causal, or one for each sample, where the layer has no nn.MultiheadAttention"
            raise DropkitError(name, rule, tuple(mask.shape), "give a mask (batch, tokens, tokens)")
        return shorter

    def extra_repr(self) -> str:
        """Show the prefix too."""
        return f"{super().extra_repr()}, prefix={self.prefix}"


def _checked(name: str, values: Any, batch: int, tokens: int) -> Tensor:
    shape = tuple(check_kind(name, values, Tensor, "give a tensor").shape)
    if shape[:2] != (batch, tokens):
        rule = f"has one entry a token, shape ({batch}, {tokens}, ...)"
        raise TensorError(name, rule, shape, "mark each token, or leave it out of per_token")
    return values  # type: ignore[no-any-return]  # it is a tensor


def _checked_square(name: str, mask: Any, batch: int, tokens: int) -> Tensor:
    shape = tuple(check_kind(name, mask, Tensor, "give a tensor").shape)
    if len(shape) < 2 or shape[-2:] != (tokens, tokens) or (len(shape) > 2 and shape[0] % batch):
        rule = f"has shape ({tokens}, {tokens}), perhaps with ({batch}, ...) before it"
        raise TensorError(name, rule, shape, "give one row and one column for each token")
    return mask  # type: ignore[no-any-return]  # it is a tensor


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
