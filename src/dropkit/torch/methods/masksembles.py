"""Masksembles as a layer: fixed masks that a key in the state brings back."""

from __future__ import annotations

from typing import Any

import torch

from dropkit.core.address import VERSION
from dropkit.core.key import Key
from dropkit.methods.masksembles import masksembles
from dropkit.torch.check import TensorError, check_tensor
from dropkit.torch.keys import draw_words, key_tensor, key_words
from dropkit.torch.stochastic import Stochastic

__all__ = ["Masksembles"]

Tensor = torch.Tensor


class Masksembles(Stochastic):
    """Fixed masks over the channels of (N, C, ...), shared out over the batch (Durasov et al. 2021).

    Row b of a batch of N has mask b n // N, in training and in evaluation alike: y[b] = x[b] mask[b n // N].
    All predictions of x are those of `torch.cat([x] * n)`. The batch may have any size; where it is not
    repeated, what a row becomes depends on its place in it. The authors' code refuses fewer than 10 channels
    and scales above 6; here a narrow layer at a high scale is allowed, and its members may have one channel
    each, as 4 channels have at n = 4 and scale 50. The masks follow from a key that stands in the state_dict,
    so that a model that is loaded is the ensemble that was saved.

    Args:
        channels: the size of the second axis, at least 1.
        n: the number of masks, at least 1.
        scale: at least 1: 1 is one model, the more the less the masks overlap.
        key: of the masks; by default one number is taken from torch's generator.

    Raises:
        DropkitError: a number is out of its range; a `TensorError` if an input has other channels.

    >>> layer = Masksembles(6, n=2, scale=2.0, key=1)
    >>> layer(torch.ones(4, 6))[::2]
    tensor([[0., 1., 1., 1., 1., 0.],
            [1., 0., 1., 0., 1., 1.]])
    """

    # Stands in the metadata of a state_dict: the masks are those of this version of the addresses.
    _version = VERSION
    key: Tensor
    masks: Tensor

    def __init__(
        self, channels: int, n: int = 4, scale: float = 2.0, *, key: int | Key | None = None
    ) -> None:
        super().__init__()
        like = torch.empty(0)
        address = Key(*draw_words(like)) if key is None else Key.of(key)
        masks = masksembles(channels, n, scale, address)
        self.channels, self.n, self.scale = channels, n, scale
        self.register_buffer("key", key_tensor(address, like))
        self.register_buffer("masks", torch.from_numpy(masks).to(like.device), persistent=False)
        self.stand_out()

    @property
    def can_draw(self) -> bool:
        """Whether a call that draws could change anything: the masks are drawn once, at construction."""
        return False

    @property
    def acts_in_eval(self) -> bool:
        """Whether evaluation changes the input."""
        return True

    def forward(self, input: Tensor) -> Tensor:
        """Apply to each row the mask of its place.

        Args:
            input: (N, C, ...), of a real floating type.
        """
        check_tensor(input)
        if input.dim() < 2 or input.shape[1] != self.channels:
            rule = f"has the shape (N, {self.channels}, ...)"
            raise TensorError("input", rule, tuple(input.shape), "give the layer the channels of its input")
        rows = len(input)
        member = torch.arange(rows, device=input.device) * self.n // max(rows, 1)
        kept = self.masks[member].reshape(rows, self.channels, *(1,) * (input.dim() - 2))
        return torch.where(kept, input, 0.0)

    def extra_repr(self) -> str:
        """Show the ensemble."""
        return f"channels={self.channels}, n={self.n}, scale={self.scale}"

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *rest)
        masks = masksembles(self.channels, self.n, self.scale, Key(*key_words(self.key.cpu())))
        self.masks = torch.from_numpy(masks).to(self.masks.device)
