"""Protobuf text into a message, within bounds of size, depth and memory."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

from dropkit.core.check import DropkitError
from dropkit.migrate.caffe_schema import net_class

__all__ = ["LONGEST_LINE", "LONGEST_TEXT", "parse", "read_text"]

LONGEST_TEXT = 2 * 2**20
"""Bytes; ResNet-152 takes a twentieth of it. No text so long has been found to take 256 MiB to read."""
LONGEST_LINE = 2**14
"""Characters without a gap. For each value passed over, protobuf's reader copies the line it stands in."""
_MOST_NEW_TYPES = 1000

_V1_TYPE = re.compile(r"\btype\s*:\s*([A-Z][A-Z0-9_]*)\b")
_STRING_COMMENT_OR_GAP = re.compile(r"""("(?:[^"\\\n]|\\.)*+"?|'(?:[^'\\\n]|\\.)*+'?|#[^\n]*)|[ \t]+""")
_MEND = "give the network's description, the .prototxt file"


def read_text(path: Path) -> str:
    """Return the text of a file, or raise `DropkitError` where it is none, or longer than `LONGEST_TEXT`."""
    try:
        with path.open("rb") as file:
            data = file.read(LONGEST_TEXT + 1)
    except OSError as error:
        raise DropkitError("path", f"can be read ({error.strerror})", str(path), _MEND) from None
    if len(data) > LONGEST_TEXT:
        rule = f"has at most {LONGEST_TEXT} bytes"
        raise DropkitError("path", rule, str(path), f"{_MEND}, not its weights")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise DropkitError("path", "is text in UTF-8", str(path), f"{_MEND}, not its weights") from None


def parse(text: str, source: str) -> Any:
    """Return the `NetParameter` that a text describes, or raise `DropkitError` with the line and the column.

    A field that is not in the schema is passed over, as long as it is well formed.

    >>> parse("name: 'small'  engine: CUDNN", "a string").name
    'small'
    """
    from google.protobuf import text_format

    text = _short_lines(text, source)
    more = tuple(sorted(set(_V1_TYPE.findall(text))))
    try:
        with warnings.catch_warnings():
            # That is how Python reports a wrong escape in a string.
            warnings.simplefilter("error", DeprecationWarning)
            return text_format.Parse(text, net_class(more[:_MOST_NEW_TYPES])(), allow_unknown_field=True)
    except (text_format.ParseError, UnicodeError, DeprecationWarning) as error:
        rule = f"is protobuf text that describes a Caffe net ({_brief(error)})"
    except RecursionError:
        rule = "is nested as a net is, a few braces deep"
    # The error of the parser would show the whole line.
    raise DropkitError("path", rule, source, "mend it there, or download it again")


def _short_lines(text: str, source: str) -> str:
    if max(map(len, text.split("\n"))) <= LONGEST_LINE:
        return text
    text = _STRING_COMMENT_OR_GAP.sub(lambda found: found[1] or "\n", text)
    if max(map(len, text.split("\n"))) <= LONGEST_LINE:
        return text
    rule = f"has a gap within every {LONGEST_LINE} characters"
    raise DropkitError("path", rule, source, _MEND)


def _brief(error: Exception, limit: int = 200) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= limit else f"{text[: limit // 2]} ... {text[-limit // 2 :]}"
