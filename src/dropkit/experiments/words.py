"""Texts and numbers of words as inputs: which words are known is read from the training part alone."""

from __future__ import annotations

import functools
import itertools
import re
import sys
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api import types
from sklearn.feature_extraction.text import CountVectorizer

from dropkit.core.check import DropkitError
from dropkit.experiments.columns import quoted, short
from dropkit.experiments.dataset import Index, hash_rows
from dropkit.experiments.word_dropout import PADDING, UNKNOWN
from dropkit.report.messages import Note
from dropkit.report.words import counted

__all__ = ["MAX_LENGTH", "MAX_WORDS", "WordInputs", "numbered_words", "text_column", "texts"]

MAX_WORDS, MAX_LENGTH = 20_000, 256
LARGEST = 1_000_000
_FIRST = 2  # numbers below mean no word
_FEWEST = 2  # of a word that is seen once nothing is learned but its row
_COVERED = 0.99
_SIGN = "\u3040-\u30ff\u3400-\u9fff"  # Japanese and Chinese stand without spaces: every sign is a word
_JOINERS = "\u200c\u200d"  # stand within words of Persian and of India

Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class WordInputs:
    """Numbers of words (rows, length): 0 is padding, 1 a word that is not known.

    Args:
        numbers: int64; of texts, numbers from 2 on count `words`, which every training part numbers anew.
        n_words: that a model is made for; every number it sees lies below. It is the same for all splits.
        words: of texts, in the order of the alphabet; empty where the numbers are the user's own and stay.
        hashes: of whole texts, one a row, as the numbers end with the length; None where they are all.
    """

    numbers: Index
    n_words: int
    words: tuple[str, ...] = ()
    hashes: Hashes | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Words of one row, with its padding."""
        return self.numbers.shape[1:]

    def take(self, rows: Index) -> WordInputs:
        """Some of the rows."""
        hashes = None if self.hashes is None else self.hashes[rows]
        return replace(self, numbers=self.numbers[rows], hashes=hashes)

    def encoder(self, train: Index) -> Callable[[WordInputs], Index]:
        """Number the commonest words of the training part, the most frequent first; others are unknown."""
        if not self.words:
            return lambda inputs: inputs.numbers
        counts = np.bincount(self.numbers[train].ravel(), minlength=_FIRST + len(self.words))
        common = _FIRST + np.argsort(-counts[_FIRST:], kind="stable")[: self.n_words - _FIRST]
        known = common[counts[common] >= _FEWEST]
        table = np.full(len(counts), UNKNOWN)
        table[PADDING] = PADDING
        table[known] = np.arange(_FIRST, _FIRST + len(known))
        return lambda inputs: table[inputs.numbers]

    def content(self) -> bytes:
        """The numbers and the words."""
        return repr((self.numbers.shape, self.n_words, self.words)).encode() + self.numbers.tobytes()

    def row_hashes(self) -> Hashes:
        """Of all words of each row, those beyond the length too; a text without a word equals no other."""
        return hash_rows(self.numbers) if self.hashes is None else self.hashes


def numbered_words(x: npt.NDArray[Any]) -> WordInputs:
    """Inputs from an array (rows, length) of numbers of words, which are kept as they are.

    Raises:
        DropkitError: it is no such array, or a number is below 0 or no word's.

    >>> numbered_words(np.array([[2, 3, 0], [4, 0, 0]])).n_words
    5
    """
    name = "data x"
    if x.dtype.kind not in "iu":
        mend = "give whole numbers (0 padding, 1 unknown), or leave out words for ordinary numbers"
        raise DropkitError(name, "must hold whole numbers where it holds words", x.dtype, mend)
    if x.ndim != 2 or not x.size:
        raise DropkitError(name, "must be (rows, length) where it holds words", x.shape, "pad rows with 0")
    if x.min() < 0 or x.max() >= LARGEST:
        rule = f"must hold numbers of words from 0 to {LARGEST - 1:,}"
        bad = x.min() if x.min() < 0 else x.max()
        raise DropkitError(name, rule, int(bad), "number the words from 2 on: 0 is padding, 1 unknown")
    return WordInputs(np.ascontiguousarray(x, dtype=np.int64), max(int(x.max()) + 1, _FIRST + 1))


def text_column(frame: pd.DataFrame, name: str) -> tuple[WordInputs, tuple[Note, ...]]:
    """Inputs from one column of a table, and what is to be said of it and of the others.

    Raises:
        DropkitError: it holds something else than text.
    """
    inputs, notes = texts(f"column {quoted(name)}", frame[name])
    others = [other for other in frame.columns if other != name]
    left = Note("note.text_alone", {"name": quoted(name), "names": [short(other) for other in others]})
    return inputs, (*notes, *([left] if others else []))


def texts(name: str, values: pd.Series) -> tuple[WordInputs, tuple[Note, ...]]:
    """Inputs from one text a row, and notes.

    Words are runs of letters, their marks and digits in lower case; each Chinese or Japanese sign is one. A
    text without a word counts as one unknown word. The length, which 99 % of all texts do not exceed (256 at
    most), and the number of words (those that stand twice in all texts, 20,000 at most) are the same for all
    splits: a model is made for them. Which words these are is decided by each training part for itself.

    Args:
        name: of what they are, in refusals.
        values: one text a row, missing ones too.

    Raises:
        DropkitError: a value is no text, or no word stands there twice.

    >>> inputs, _ = texts("reviews", pd.Series(["A good film", "Not a good film!", None]))
    >>> inputs.shape, inputs.n_words
    ((4,), 5)
    """
    _check_texts(name, values)
    split = CountVectorizer(token_pattern=_token()).build_analyzer()
    every = [split(text) if isinstance(text, str) else [] for text in values]
    lengths = np.array([len(row) for row in every])
    length = min(max(int(np.quantile(lengths, _COVERED, method="higher")), 1), MAX_LENGTH)
    numbers, words = _numbered([row[:length] for row in every], length)
    known = int((np.bincount(numbers.ravel())[_FIRST:] >= _FEWEST).sum())
    if not known:
        rule = "must hold texts with words that stand there more than once"
        raise DropkitError(name, rule, counted(len(words), "word"), "bring more texts")
    inputs = WordInputs(numbers, _FIRST + min(known, MAX_WORDS), words, _hashes(every))
    return inputs, _notes(inputs, lengths)


@functools.cache
def _token() -> str:
    letter = rf"[^\W{_SIGN}]"
    return rf"(?u)[{_SIGN}]|{letter}(?:{letter}|[{_marks()}{_JOINERS}])*"


def _marks() -> str:
    """Signs that stand at a letter, such as the vowels of Hindi: no letters to `re`, but parts of words."""
    signs = map(chr, range(sys.maxunicode + 1))
    marks = [sign for sign in signs if unicodedata.category(sign) in ("Mn", "Mc")]
    codes = [ord(sign) for sign in marks if not re.match(f"[{_SIGN}]", sign)]
    runs = itertools.groupby(enumerate(codes), lambda each: each[1] - each[0])
    spans = [[code for _, code in run] for _, run in runs]
    return "".join(f"{chr(span[0])}-{chr(span[-1])}" for span in spans)


def _hashes(rows: Sequence[Sequence[str]]) -> Hashes:
    # No word holds a space, so that a row without words equals neither a text nor another such row.
    whole = [" ".join(words) or f" {row}" for row, words in enumerate(rows)]
    hashes: Hashes = pd.util.hash_array(np.array(whole, dtype=object), categorize=False)
    return hashes


def _check_texts(name: str, values: pd.Series) -> None:
    mend = "leave out text: numbers are learned from as a table"
    if types.is_numeric_dtype(values) or types.is_datetime64_any_dtype(values):
        raise DropkitError(name, "must hold text", values.dtype, mend)
    for row, value in enumerate(values):
        if not isinstance(value, str) and not (types.is_scalar(value) and pd.isna(value)):
            rule = f"must hold text or nothing in every row (row {row + 1})"
            raise DropkitError(name, rule, type(value).__name__, "write it as text")


def _numbered(rows: Sequence[Sequence[str]], length: int) -> tuple[Index, tuple[str, ...]]:
    codes, words = pd.factorize(np.array([*itertools.chain(*rows)], dtype=object), sort=True)
    filled = np.arange(length) < np.array([len(row) for row in rows])[:, None]
    numbers = np.full((len(rows), length), PADDING)
    numbers[filled] = _FIRST + codes
    numbers[~filled.any(1), 0] = UNKNOWN
    return numbers, tuple(words)


def _notes(inputs: WordInputs, lengths: Index) -> tuple[Note, ...]:
    (length,), words = inputs.shape, inputs.n_words - _FIRST
    cut, empty = int((lengths > length).sum()), int((lengths == 0).sum())
    notes = [Note("note.texts", {"words": words, "length": length})]
    counts = {"note.long_texts": cut, "note.empty_texts": empty}
    return (*notes, *(Note(key, {"n": count}) for key, count in counts.items() if count))
