"""The key: a mask is never stored, it is addressed."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import Any

from dropkit.core import address
from dropkit.core.check import DropkitError, Whole, check_kind, is_whole

__all__ = ["Key"]

_WORD = Whole(0, "give a number of up to 64 bits, e.g. 42", below=2**64)
_COUNT = Whole(0, "give the number of the call, e.g. the step", below=2**32)


@dataclass(frozen=True)
class Key:
    """The address of one call's draws: a 64-bit key word, a call number and a stream number.

    One key serves one call. Further calls take `key.fold(name, i)`, never `key + 1`: sums of seeds collide.

    Args:
        word: the seed, 0 <= word < 2**64.
        call: 0 <= call < 2**32; set by `fold`.
        stream: 0 <= stream < 2**32; set by `fold`.

    Raises:
        DropkitError: a number is out of its range.

    >>> Key(42).fold("encoder.drop", 7)
    Key(word=42, call=7, stream=2933853710)
    """

    word: int
    call: int = 0
    stream: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "word", _WORD.check("key", self.word))
        object.__setattr__(self, "call", _COUNT.check("call", self.call))
        object.__setattr__(self, "stream", _COUNT.check("stream", self.stream))

    @classmethod
    def of(cls, key: int | Key | None) -> Key:
        """Return `key` as a `Key`; None draws a fresh one from the system's entropy.

        >>> Key.of(3)
        Key(word=3, call=0, stream=0)
        """
        if key is None:
            return cls(secrets.randbits(64))
        if isinstance(key, Key):
            return key
        if not is_whole(key):
            raise DropkitError("key", "must be an int or a dropkit.Key", key, "write e.g. key=42")
        return cls(int(key))

    def fold(self, name: str, i: int = 0) -> Key:
        """Return the key of the i-th call of the stream called `name`.

        stream = first four bytes of blake2s(name), little-endian; call = i. A key that is folded already
        first becomes a new 64-bit word, drawn at its own address, so that chains of folds stay independent.

        Args:
            name: any text; two names meet in one stream with probability 2**-32.
            i: 0 <= i < 2**32, e.g. the step or the rank.

        Raises:
            DropkitError: the name is not a str, or i is out of range.

        >>> key = Key(42)
        >>> key.fold("rank", 0) == key.fold("rank", 1)
        False
        """
        check_kind("name", name, str, "name the stream, e.g. 'encoder.drop'")
        _COUNT.check("i", i)
        word = address.fold_word(self.words) if self.call or self.stream else self.word
        digest = hashlib.blake2s(name.encode()).digest()
        return Key(word, i, int.from_bytes(digest[:4], "little"))

    @property
    def words(self) -> address.Words[int]:
        """The three numbers of the address, as the engine takes them."""
        return address.Words(self.word, self.call, self.stream)

    def to_json(self) -> dict[str, Any]:
        """Return the key as plain data."""
        return {"word": self.word, "call": self.call, "stream": self.stream}
