"""Wrappers that answer for the module inside."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import nn

__all__ = ["Delegate"]


class Delegate(nn.Module):
    """A wrapper whose missing attributes are those of the module inside, e.g. `in_features`, `self_attn`."""

    inside: ClassVar[str]
    """The name of that module."""

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            module = self.__dict__.get("_modules", {}).get(self.inside)
            if module is None or name.startswith("__"):
                raise
            return getattr(module, name)
