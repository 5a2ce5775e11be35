"""What a study says to people, from one catalogue for each language: `messages/*.toml`."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from string import Formatter
from typing import Any

from dropkit.core.check import OneOf

__all__ = ["LANGUAGES", "RAISED", "Messages", "Note", "messages"]

LANGUAGES = OneOf(("en", "zh"))

RAISED = "failure.raised"
"""The key of a failure that stands in the words of whatever raised it."""

_MOST_NAMES = 8
_MOST_NOTED = 12


@dataclass(frozen=True)
class Note:
    """A message that a record holds, to be read in any language: its key, and what is filled in.

    Args:
        key: `note.NAME` for what was seen in the data, `failure.NAME` for why a run failed.
        values: by the names of its places; a list is written as one.

    >>> str(Note("note.groups", {"n": 7}))
    'Parts share none of the 7 groups.'
    """

    key: str
    values: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        """In English."""
        return messages("en").note(self)


class Messages:
    """The messages of one language. Each is a `str.format` text, or one for each plural form of its `n`.

    Args:
        lang: `en` or `zh`.

    Raises:
        DropkitError: there is no such language.

    >>> say = Messages("en")
    >>> say("count.pairs", n=1), say("count.pairs", n=6)
    ('1 pair', '6 pairs')
    """

    def __init__(self, lang: str) -> None:
        self.lang = LANGUAGES.check("lang", lang)
        folder = resources.files("dropkit.report").joinpath("messages")
        self.texts: dict[str, str | Mapping[str, str]] = {}
        for name in (f"{lang}.toml", f"notes.{lang}.toml", f"paste.{lang}.toml"):
            self.texts |= _flat(tomllib.loads(folder.joinpath(name).read_text("utf-8")))

    def __call__(self, key: str, /, **values: Any) -> str:
        """The message of a key with its values filled in.

        Raises:
            KeyError: there is no such message, or a value is missing.
        """
        text = self.texts[key]
        if not isinstance(text, str):
            text = text["one"] if values["n"] == 1 and "one" in text else text["other"]
        return _filled(text, values)

    def note(self, note: Note) -> str:
        """A note in this language.

        Raises:
            KeyError: there is no such message, or a value is missing.

        >>> Messages("en").note(Note("note.empty_columns", {"names": ["a", "b"]}))
        'Empty columns, left out: a and b.'
        """
        values = {
            name: self.listed(value, _MOST_NOTED) if isinstance(value, list) else value
            for name, value in note.values.items()
        }
        return self(note.key, **values)

    def name(self, kind: str, word: str) -> str:
        """The word of a record as people read it; names that a user gave stay as they are.

        >>> Messages("zh").name("outcome", "better"), Messages("zh").name("arm", "my own")
        ('更好', 'my own')
        """
        text = self.texts.get(f"{kind}.{word}", word)
        return text if isinstance(text, str) else word

    def listed(self, words: Sequence[str], most: int = _MOST_NAMES, *, end: str = "and") -> str:
        """Words as a list, with `and` or `or` before the last; of a long one only the first.

        >>> Messages("en").listed(["a", "b", "c"]), Messages("en").listed(["a", "b", "c", "d"], most=2)
        ('a, b and c', 'a, b and 2 more')
        """
        if len(words) > most:
            words = [*words[:most], self("list.more", n=len(words) - most)]
        if len(words) < 2:
            return "".join(words)
        first = _spaced(self("list.comma").join(words[:-1]), self(f"list.{end}"))
        return _spaced(first, words[-1])


@functools.cache
def messages(lang: str) -> Messages:
    """The messages of a language, read once."""
    return Messages(lang)


def _filled(text: str, values: Mapping[str, Any]) -> str:
    """The text with its values: `str.format` but for a space where Chinese and Latin letters meet."""
    whole = ""
    for literal, name, form, _ in Formatter().parse(text):
        whole = _spaced(whole, literal)
        if name is not None:
            whole = _spaced(whole, format(values[name], form or ""))
    return whole


def _spaced(left: str, right: str) -> str:
    if left and right and (_mixed(left[-1], right[0]) or _mixed(right[0], left[-1])):
        return f"{left} {right}"
    return left + right


def _mixed(one: str, other: str) -> bool:
    return "\u4e00" <= one <= "\u9fff" and (other in "%−+/" or (other.isascii() and other.isalnum()))


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, dict) and "other" not in value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
