"""The pattern language: `"b c h w -> b c"` reads: one coin for each (b, c), shared over h and w.

Left of the arrow all axes by name; `...` stands for any number of axes, `(h 4)` splits one. Right of it the
axes that have coins of their own, in the order of the group index. No arrow: every entry has its own.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from dropkit.core.check import DropkitError, check_kind, suggest

__all__ = ["ELLIPSIS", "Axis", "Parsed", "PatternError", "parse"]

ELLIPSIS = "..."
_TOKEN = re.compile(
    r"\s*(?:(?P<arrow>->)|(?P<dots>\.\.\.)|(?P<name>[A-Za-z_]\w*)|(?P<size>\d+\b)|(?P<bracket>[()])|(?P<bad>\S))"
)


class PatternError(DropkitError):
    """A pattern was refused: the message points at the offending place."""

    def __init__(self, text: str, at: int, rule: str, mend: str) -> None:
        super().__init__("pattern", rule, text, f"{mend}\n    {text}\n    {' ' * at}^")
        self.text, self.at = text, at

    def __reduce__(self) -> tuple[type[PatternError], tuple[str, int, str, str]]:
        return type(self), (self.text, self.at, self.rule, self.mend.partition("\n")[0])


class Axis(NamedTuple):
    """One axis: its name (None for a bare number), its size where the text gives it, where it stands."""

    name: str | None
    size: int | None
    at: int

    @property
    def label(self) -> str:
        """The name, or for a bare number its place: what the right-hand side and the binding call it."""
        return self.name or f"#{self.at}"


@dataclass(frozen=True)
class Parsed:
    """A pattern, read: `left` has one tuple of axes for each axis of the array, several where it is split."""

    text: str
    left: tuple[tuple[Axis, ...], ...]
    right: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """All axes named on the left, `...` among them."""
        return tuple(axis.name for axes in self.left for axis in axes if axis.name)

    @property
    def labels(self) -> tuple[str, ...]:
        """All axes on the left in order, bare numbers too."""
        return tuple(axis.label for axes in self.left for axis in axes)


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


def parse(text: str) -> Parsed:
    """Read a pattern.

    Args:
        text: e.g. `"b c h w -> b c"`; sizes in it are at least 1.

    Raises:
        PatternError: the text does not follow the language; a caret shows where.

    >>> parse("b (h 4) -> b").right
    ('b',)
    """
    return _parse(check_kind("pattern", text, str, "write e.g. 'b c h w -> b c'"))


@functools.lru_cache(maxsize=1024)
def _parse(text: str) -> Parsed:
    tokens = list(_tokens(text))
    arrows = [i for i, token in enumerate(tokens) if token.kind == "arrow"]
    if len(arrows) > 1:
        raise PatternError(text, tokens[arrows[1]].at, "has at most one '->'", "remove this arrow")
    end = arrows[0] if arrows else len(tokens)
    left = tuple(_axes(text, tokens[:end]))
    _refuse_repeats(text, [axis for axes in left for axis in axes])
    if not arrows:
        return Parsed(text, left, tuple(axis.label for axes in left for axis in axes))
    return Parsed(text, left, _right(text, tokens[end + 1 :], left))


def _tokens(text: str) -> Iterator[_Token]:
    for match in _TOKEN.finditer(text):
        kind = str(match.lastgroup)
        token = _Token(kind, match[kind], match.start(kind))
        if kind == "bad":
            mend = "use names, '...', '( )' on the left, and '->'"
            raise PatternError(text, token.at, f"cannot hold {token.text!r}", mend)
        yield token


def _axes(text: str, tokens: list[_Token]) -> Iterator[tuple[Axis, ...]]:
    """Yield, for each axis of the array, the axes it is split into."""
    inside: list[Axis] | None = None
    opened = 0
    for token in tokens:
        if token.text == "(":
            if inside is not None:
                raise PatternError(text, token.at, "cannot nest brackets", "write (a b c)")
            inside, opened = [], token.at
        elif token.text == ")":
            if not inside:
                raise PatternError(text, token.at, "has names in every pair of brackets", "write e.g. (h 4)")
            yield tuple(inside)
            inside = None
        elif inside is None:
            yield (_axis(text, token),)
        elif token.kind == "dots":
            raise PatternError(text, token.at, "cannot hold '...' in brackets", "name the axes")
        else:
            inside.append(_axis(text, token))
    if inside is not None:
        raise PatternError(text, opened, "closes every bracket", "add the missing ')'")


def _axis(text: str, token: _Token) -> Axis:
    if token.kind != "size":
        return Axis(token.text, None, token.at)
    if int(token.text) == 0:
        raise PatternError(text, token.at, "has sizes of at least 1", "correct the size")
    return Axis(None, int(token.text), token.at)


def _right(text: str, tokens: list[_Token], left: tuple[tuple[Axis, ...], ...]) -> tuple[str, ...]:
    known = [axis.name for axes in left for axis in axes if axis.name]
    for token in tokens:
        if token.kind not in ("name", "dots"):
            rule = f"cannot hold {token.text!r} right of '->'"
            raise PatternError(text, token.at, rule, "list axes by name")
        if token.text not in known:
            rule = f"has no axis {token.text!r} on the left"
            raise PatternError(text, token.at, rule, suggest(token.text, known))
    _refuse_repeats(text, [_axis(text, token) for token in tokens])
    return tuple(token.text for token in tokens)


def _refuse_repeats(text: str, axes: list[Axis]) -> None:
    seen: set[str] = set()
    for axis in axes:
        if axis.name in seen:
            rule = f"names each axis once a side, not {axis.name!r} twice"
            raise PatternError(text, axis.at, rule, "rename it")
        if axis.name:
            seen.add(axis.name)
