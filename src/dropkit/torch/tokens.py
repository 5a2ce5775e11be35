"""The layers that go by numbers of tokens: what is dropped depends on them, and backward keeps them alone."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, Unpack

import torch
from torch import nn

from dropkit.core.bind import WHOLE, Window
from dropkit.core.check import DropkitError, Whole, check_each, check_kind
from dropkit.core.mode import Scale
from dropkit.methods.embedding_dropout import embedding_dropout
from dropkit.methods.token_dropout import protected, token_dropout
from dropkit.torch import functional
from dropkit.torch.autograd import fixed, multiplied
from dropkit.torch.check import TensorError, check_fit, check_tensor
from dropkit.torch.functional import Source
from dropkit.torch.layer import Layer, Rate, rate_of
from dropkit.torch.whole import check_numbers

__all__ = ["EmbeddingDropout", "TokenDropout"]

Tensor = torch.Tensor
_TOKEN = Whole(0, "give token numbers, e.g. (0, 101, 102)")


class _Factored(Layer):
    """A layer that multiplies by factors which another array chooses."""

    def _factor(
        self, like: Tensor, shape: tuple[int, ...], window: Window = WHOLE, **source: Unpack[Source]
    ) -> Callable[[], Tensor] | None:
        """Return what makes the factors of an array of this shape, always alike; None where they are 1."""
        kind = torch.promote_types(like.dtype, torch.float32)
        # What is returned outlives the pass, so it holds numbers and no array.
        ones = functools.partial(torch.ones, shape, dtype=kind, device=like.device)
        call = self._call(self._law_for(like, window))
        if not self.drawing:
            given = ones()
            same = functional.evaluate(given, call) is given
            return None if same else lambda: functional.evaluate(ones(), call)
        if call.rate == 0:
            return None
        call, key = fixed(like, call, **self.source(source))
        return lambda: functional.perturb(ones(), call, key=key)


class TokenDropout(_Factored):
    """One coin a token of (batch, time, features); protected tokens pass unchanged.

    Args:
        p: the probability that a token is dropped, in [0, 1], or a schedule.
        prefix: how many leading positions are never dropped, e.g. 1 for a class token.
        keep: token numbers that are never dropped, e.g. those of CLS, SEP and PAD; they need `ids` at each
            call.
        scale: where the factor 1 / (1 - p) goes.

    >>> TokenDropout(0.1, prefix=1)(torch.ones(1, 2, 3)).shape
    torch.Size([1, 2, 3])
    """

    def __init__(
        self, p: Rate = 0.1, prefix: int = 0, keep: Iterable[int] = (), *, scale: Scale = "train"
    ) -> None:
        super().__init__(token_dropout(rate_of(p), scale))
        self.prefix, self.keep = prefix, check_each("keep", keep, _TOKEN)
        protected(torch.zeros(1, 1, dtype=torch.int64), self.keep, prefix)

    def forward(
        self,
        input: Tensor,
        *,
        ids: Tensor | None = None,
        padding: Tensor | None = None,
        window: Window = WHOLE,
        **source: Unpack[Source],
    ) -> Tensor:
        """Drop tokens.

        Args:
            input: (batch, time, features).
            ids: token numbers (batch, time), for `keep`.
            padding: which positions are padding (batch, time), true there; they are never dropped.
            window: the place of the tensor inside a larger one, whose first `prefix` positions are protected.
            **source: `key` and `generator` as in every layer.
        """
        for name, marks in (("ids", ids), ("padding", padding)):
            _check_marks(name, marks, input)
        if self.keep and ids is None:
            raise DropkitError("ids", "is given where keep names tokens", ids, "call layer(x, ids=ids)")
        if not (self.prefix or self.keep or padding is not None):
            return super().forward(input, window=window, **source)
        if self.drawing:
            check_tensor(input)
            check_fit(self._law_for(input, window), input)
        shape, device = input.shape[:2], input.device
        factor = self._factor(input, (*shape, 1), window, **source)
        if factor is None:
            return input
        prefix = max(0, self.prefix - sum(window.start[1:2]))

        def spared(ids: Tensor | None, padding: Tensor | None) -> Tensor:
            numbers = torch.zeros(shape, dtype=torch.int64, device=device) if ids is None else ids
            return torch.where(protected(numbers, self.keep, prefix, padding)[..., None], 1.0, factor())

        return multiplied(input, spared, ids, padding)

    def extra_repr(self) -> str:
        """Show what is protected too."""
        return f"{super().extra_repr()}, prefix={self.prefix}, keep={self.keep}"


class EmbeddingDropout(_Factored):
    """One coin a row of the vocabulary: a dropped word is gone wherever it occurs.

    Args:
        embedding: the table; it keeps its place, its name and its weights.
        p: the probability that a word is dropped, in [0, 1], or a schedule.
        keep: numbers of words that are never dropped nor scaled, e.g. those of CLS, SEP and MASK. What is
            protected does not move the mask of the others.
        scale: where the factor 1 / (1 - p) goes.

    Raises:
        DropkitError: p lies outside [0, 1], or `keep` names a row that the table does not have.

    >>> EmbeddingDropout(torch.nn.Embedding(10, 4), 0.1)(torch.tensor([[1, 2]])).shape
    torch.Size([1, 2, 4])
    """

    def __init__(
        self, embedding: nn.Embedding, p: Rate = 0.1, keep: Iterable[int] = (), *, scale: Scale = "train"
    ) -> None:
        super().__init__(embedding_dropout(rate_of(p), scale))
        self.embedding = check_kind("embedding", embedding, nn.Embedding, "wrap the table itself")
        rows = Whole(0, "give numbers of words, e.g. (101, 102)", below=embedding.num_embeddings)
        self.keep = check_each("keep", keep, rows)

    def forward(self, ids: Tensor, **source: Any) -> Tensor:  # type: ignore[override]  # it takes numbers of words
        """Look words up and drop.

        Args:
            ids: numbers of words, of any shape.
            **source: `key`, `generator` and `window` as in every layer.

        Raises:
            DropkitError: ids are no whole numbers, or, as far as they are on the CPU, of no row of the table.
        """
        check_numbers("ids", ids, self.embedding.num_embeddings)
        words: Tensor = self.embedding(ids)
        # One factor a row is drawn, not one an entry: the table itself is neither copied nor changed.
        factor = self._factor(words, (self.embedding.num_embeddings, 1), **source)
        if factor is None:
            return words
        keep = self.keep

        def looked_up(ids: Tensor) -> Tensor:
            rows = factor()
            if keep:
                rows = rows.index_fill(0, torch.tensor(keep, device=rows.device), 1.0)
            return nn.functional.embedding(ids, rows)

        return multiplied(words, looked_up, ids)

    def extra_repr(self) -> str:
        """Show what is protected too."""
        return super().extra_repr() + (f", keep={self.keep}" if self.keep else "")


def _check_marks(name: str, marks: Tensor | None, input: Tensor) -> None:
    """Refuse marks of tokens, numbers or padding, that are none."""
    if marks is None:
        return
    check_kind(name, marks, Tensor, "give a tensor of shape (batch, time)")
    if marks.shape != input.shape[:2]:
        rule = f"has one mark a token, shape {tuple(input.shape[:2])}"
        raise TensorError(name, rule, tuple(marks.shape), "give (batch, time)")
    if name == "padding" and marks.dtype != torch.bool:
        raise TensorError(name, "is true where a token is padding", marks.dtype, "write e.g. ids == 0")
