"""Token dropout: whole tokens of a sequence are dropped, but for those that are protected."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dropkit.core.check import DropkitError, Whole
from dropkit.core.drop import Drop
from dropkit.core.method import Example, Method, Paper
from dropkit.core.mode import Scale

__all__ = ["METHOD", "protected", "token_dropout"]

_PREFIX = Whole(0, "give the number of leading positions, e.g. 1 for a class token")


def token_dropout(rate: Any, scale: Scale = "train") -> Drop:
    """Return token dropout: one coin for each position of each sequence `(batch, time, features)`.

    A position that `protected` marks passes unchanged, neither dropped nor scaled; its coin is tossed all the
    same, so that what is protected does not move the mask of the others.

    Args:
        rate: the probability that a token is dropped, in [0, 1].
        scale: where the factor 1 / (1 - rate) goes. The paper takes the mean over the kept tokens instead.

    >>> token_dropout(0.3).groups.pattern
    'b t d -> b t'
    """
    return Drop(rate, "b t d -> b t", scale=scale)


def protected(ids: Any, keep: Iterable[int] = (), prefix: int = 0, padding: Any = None) -> Any:
    """Return which positions token dropout must leave alone: a bool array or tensor like `ids`.

    Args:
        ids: token numbers `(batch, time)`, an integer array or tensor.
        keep: numbers of tokens that are never dropped, e.g. those of CLS, SEP and PAD.
        prefix: how many leading positions are never dropped, e.g. 1 for a class token.
        padding: which positions are padding, a bool array `(batch, time)`; None if there is none.

    Raises:
        DropkitError: `prefix` is not a whole number, or `padding` has another shape than `ids`.

    >>> import numpy
    >>> protected(numpy.array([[101, 7, 8, 0]]), keep=(0,), prefix=1)
    array([[ True, False, False,  True]])
    """
    mask = ids != ids
    for token in keep:
        mask = mask | (ids == token)
    if padding is not None:
        mask = mask | _fitting(padding, ids)
    mask[..., : _PREFIX.check("prefix", prefix)] = True
    return mask


def _fitting(padding: Any, ids: Any) -> Any:
    if tuple(padding.shape) != tuple(ids.shape):
        rule = f"has the shape of ids, {tuple(ids.shape)}"
        raise DropkitError("padding", rule, tuple(padding.shape), "mark each id")
    return padding


METHOD = Method(
    name="token_dropout",
    title="Token (word) dropout",
    summary="Drops whole tokens of a sequence, each by a coin of its own, and spares protected positions.",
    formula="kept ~ Bernoulli(1 - rate) for each (b, t); y = x kept / (1 - rate), and y = x where protected",
    paper=Paper(
        title="Deep Unordered Composition Rivals Syntactic Methods for Text Classification",
        authors=("Iyyer, Mohit", "Manjunatha, Varun", "Boyd-Graber, Jordan", "Daumé III, Hal"),
        year=2015,
        venue="ACL",
        url="https://aclanthology.org/P15-1162",
        bibtex="""@inproceedings{iyyer2015deep,
  title     = {Deep Unordered Composition Rivals Syntactic Methods for Text Classification},
  author    = {Iyyer, Mohit and Manjunatha, Varun and Boyd-Graber, Jordan and Daum{\\'e} III, Hal},
  booktitle = {Proceedings of the 53rd Annual Meeting of the Association for Computational Linguistics},
  pages     = {1681--1691},
  year      = {2015}
}""",
        checked="the conference's page and a citing bibliography for the reference; the authors' own code "
        "(dan) for the law",
    ),
    site="token",
    fields=("text", "speech", "vision"),
    good_for="Text classifiers and encoders on little data: a label must not hang on one word. Protect "
    "class tokens, prompts and padding. The authors' code takes rate 0.3.",
    bad_for="Tasks where one token decides, such as negation or copying; generation, unless the targets are "
    "kept; very short sequences, of which nothing may remain.",
    describe=token_dropout,
    example=Example(shape=(3, 32, 8), axes="b t d", arguments={"rate": 0.3}),
    evidence="Iyyer et al. 2015 train their averaging networks with it. A study of texts here (glosses of "
    "WordNet, see the README) could not show that it lowers the error.",
    study=True,
    aliases=("word_dropout", "worddrop", "timestep_dropout"),
    layers={"torch": "TokenDropout", "keras": "TokenDropout"},
)
