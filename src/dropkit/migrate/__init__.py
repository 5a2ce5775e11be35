"""The way over from other frameworks and their conventions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dropkit.core.check import try_import
from dropkit.migrate.caffe import CaffeDropout, CaffeLayer, CaffeNet, read_caffe
from dropkit.migrate.conventions import (
    Convention,
    drop_from,
    fold_scale,
    pattern_from,
    rate_from,
    scale_from,
)
from dropkit.migrate.table import CONVENTIONS

if TYPE_CHECKING:
    from dropkit.migrate.caffe_rebuild import rebuild_caffe
    from dropkit.migrate.caffe_weights import CaffeWeights, load_weights

__all__ = [
    "CONVENTIONS",
    "CaffeDropout",
    "CaffeLayer",
    "CaffeNet",
    "CaffeWeights",
    "Convention",
    "drop_from",
    "fold_scale",
    "load_weights",
    "pattern_from",
    "rate_from",
    "read_caffe",
    "rebuild_caffe",
    "scale_from",
]


_OF_TORCH = ("CaffeWeights", "load_weights", "rebuild_caffe")


def __getattr__(name: str) -> Any:
    # The rest of this package works where torch is not installed.
    if name not in _OF_TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try_import("torch", extra="torch")
    from dropkit.migrate import caffe_rebuild, caffe_weights

    return getattr(caffe_rebuild if name == "rebuild_caffe" else caffe_weights, name)
