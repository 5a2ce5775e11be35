"""The way over from other frameworks and their conventions."""

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

__all__ = [
    "CONVENTIONS",
    "CaffeDropout",
    "CaffeLayer",
    "CaffeNet",
    "Convention",
    "drop_from",
    "fold_scale",
    "pattern_from",
    "rate_from",
    "read_caffe",
    "scale_from",
]
