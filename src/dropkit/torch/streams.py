"""One key for a whole model: every layer draws from the stream that bears its path."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from dropkit.core.check import DropkitError
from dropkit.core.key import Key
from dropkit.torch.mode import refuse_foreign
from dropkit.torch.stochastic import Stochastic

__all__ = ["name_streams", "under_key"]

# What wrappers put into a path: data parallelism, torch.compile, activation checkpointing, sharding.
_WRAPPERS = {"module", "_orig_mod", "_checkpoint_wrapped_module", "_fsdp_wrapped_module"}


def name_streams(model: nn.Module) -> dict[str, Stochastic]:
    """Return dropkit's layers by the names of their streams: their paths, without those of wrappers.

    A layer that stands in several places goes by its first path.

    Raises:
        DropkitError: the model has no such layer, or two of them come to the same name.

    >>> import dropkit
    >>> list(name_streams(nn.Sequential(nn.Linear(2, 2), dropkit.torch.Dropout(0.5))))
    ['1']
    """
    streams: dict[str, Stochastic] = {}
    for path, layer in model.named_modules():
        if not isinstance(layer, Stochastic):
            continue
        name = ".".join(part for part in path.split(".") if part not in _WRAPPERS)
        if name in streams:
            raise DropkitError(
                "model", "gives each stream a name of its own", name, "rename one of the modules"
            )
        streams[name] = layer
    if not streams:
        mend = "use dropkit.torch.Dropout and its siblings, or dropkit.surgery.use_dropkit(model)"
        raise DropkitError("model", "has layers of dropkit", type(model).__name__, mend)
    return streams


@contextmanager
def under_key(model: nn.Module, key: int | Key) -> Iterator[None]:
    """Let every layer draw under `key.fold(name)` until the block ends, whatever torch's generator does.

    The masks of a step can then be repeated on any device, and under checkpointing that does not keep the
    generator's state. One key serves one pass: give each step its own, and a layer that is called twice in a
    pass drops alike. Keep `backward` inside the block where activations are recomputed.

    Args:
        model: a model with layers of dropkit.
        key: the key of this pass, e.g. `dropkit.Key(seed).fold("step", step)`.

    Raises:
        DropkitError: the model has no layer of dropkit, two of them come to the same name, or it has dropout
            of torch with a rate above 0, which no key reaches, in training or not.

    >>> import torch, dropkit
    >>> model = nn.Sequential(dropkit.torch.Dropout(0.5))
    >>> with under_key(model, 7):
    ...     first, second = model(torch.ones(64)), model(torch.ones(64))
    >>> torch.equal(first, second)
    True
    """
    base = Key.of(key)
    refuse_foreign(model, "drops by dropkit's layers alone, which a key reaches")
    streams = name_streams(model)
    before = {name: layer.stream_key for name, layer in streams.items()}
    for name, layer in streams.items():
        layer.stream_key = base.fold(name)
    try:
        yield
    finally:
        for name, layer in streams.items():
            layer.stream_key = before[name]
