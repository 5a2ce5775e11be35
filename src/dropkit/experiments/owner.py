"""Who holds a lease: a process that can be told from any other, and found dead."""

from __future__ import annotations

import os
import platform
import secrets
from typing import NamedTuple, Self

import psutil

__all__ = ["Owner"]

# Seconds. A start is counted from the machine's boot, whose time moves when the clock is set, so near starts
# are one; a number that another process took so soon would only be waited for until the lease ends.
_SAME_START = 60.0


class Owner(NamedTuple):
    """A process by machine, number and start; `token` tells two studies of one process apart.

    >>> Owner.parse(str(Owner("host", 7, 12.5, "ab")))
    Owner(host='host', pid=7, started=12.5, token='ab')
    """

    host: str
    pid: int
    started: float
    token: str

    @classmethod
    def new(cls) -> Self:
        """This process, with a token of its own."""
        return cls(platform.node(), os.getpid(), psutil.Process().create_time(), secrets.token_hex(4))

    @classmethod
    def parse(cls, text: str) -> Self:
        """From what `str` gave."""
        host, pid, started, token = text.rsplit("/", 3)
        return cls(host, int(pid), float(started), token)

    def __str__(self) -> str:
        return "/".join(map(str, self))

    def is_dead(self) -> bool:
        """Whether this is certain: nobody can tell it of a process of another machine."""
        if self.host != platform.node():
            return False
        try:
            started: float = psutil.Process(self.pid).create_time()
        except psutil.NoSuchProcess:
            return True
        except psutil.AccessDenied:
            return False
        return abs(started - self.started) > _SAME_START
