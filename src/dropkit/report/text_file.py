"""Text files that a reader finds whole: the old one or the new one, never half of one."""

from __future__ import annotations

import os
from pathlib import Path

from dropkit.core.check import DropkitError

__all__ = ["write_whole"]


def write_whole(path: Path, text: str, rule: str, mend: str) -> None:
    """Write beside a file and rename; several processes may do so at once.

    Args:
        path: of the file.
        text: its content.
        rule: what an error says of the file, with a place `{why}` for the reason.
        mend: what it says can be done.

    Raises:
        DropkitError: the file cannot be written; the old one is still there.

    >>> from tempfile import mkdtemp
    >>> place = Path(mkdtemp()) / "page.html"
    >>> write_whole(place, "all", "must be a file that can be written ({why})", "name another")
    >>> place.read_text()
    'all'
    """
    beside = path.with_suffix(f"{path.suffix}.{os.getpid()}.part")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise DropkitError("out", rule.format(why=error.strerror), str(path), mend) from error
