"""The one layer that carries any description; every named layer is a shell over it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, Self, Unpack

import torch

from dropkit.core import drop as core
from dropkit.core.address import VERSION
from dropkit.core.bind import WHOLE, Window
from dropkit.core.check import RATE, DropkitError, check_kind
from dropkit.core.groups import Groups, Pattern
from dropkit.core.mode import Scale
from dropkit.core.noise import Noise
from dropkit.core.rate import Learned, threshold
from dropkit.core.rate import check as check_rate
from dropkit.core.schedule import Schedule
from dropkit.torch import functional
from dropkit.torch.functional import Source
from dropkit.torch.run import Call, law_of
from dropkit.torch.stochastic import Stochastic

__all__ = ["Drop", "Layer", "Rate", "rate_of"]

Tensor = torch.Tensor


Rate = Any
"""A number in [0, 1], a schedule, or a `PerAxis` where the layer's groups have an axis for it."""


def rate_of(p: Any) -> Any:
    """Return the rate that a layer's `p` stands for: also the number in a tensor, which torch takes too."""
    return check_rate(functional.number(p), "p")


class Layer(Stochastic):
    """A dropout layer: a description, and whether it draws now.

    Its state is a rate, or a schedule with its step, and a mode. The mode follows `train()` and `eval()`
    until `dropkit.mode` overrides it. No count of calls and no mask is kept.
    """

    # Stands in the metadata of a state_dict, never among its keys.
    _version = VERSION
    threshold: Tensor | None
    step: Tensor | None

    def __init__(self, description: core.Drop, inplace: bool = False) -> None:
        Stochastic.__init__(self)  # torch's own dropout classes would take their p first
        rate = description.rate
        if isinstance(rate, Learned):
            mend = "give a number or a schedule; ConcreteDropout, VariationalDropout, VariationalLinear and "
            mend += "InformationDropout of dropkit.torch learn theirs"
            raise DropkitError("rate", "is not learned by this layer", rate, mend)
        self.describe(description)
        self.inplace = check_kind("inplace", inplace, bool, "write True or False")
        self._p = rate if isinstance(rate, float) else None
        self.register_buffer("step", None)
        self.register_buffer("threshold", None)
        if self.scheduled:
            self.step, self.threshold = torch.zeros((), dtype=torch.int64), torch.zeros((), dtype=torch.int64)
            self.move_to(0)

    @property
    def p(self) -> float:
        """The probability that an entry is dropped, now."""
        if self._p is None:
            rule = "is one number only where the rate is one"
            raise DropkitError("p", rule, self.description.rate, "read layer.description instead")
        return self._p

    @p.setter
    def p(self, p: float) -> None:
        if self.scheduled or self._p is None:
            raise DropkitError(
                "p", "is moved by the layer's own rate", p, "make a new layer with a plain rate"
            )
        self._p = RATE.check("p", rate_of(p))

    def rate_layer(self) -> Stochastic | None:
        """Return what holds the rate: the layer itself."""
        return self

    @property
    def can_draw(self) -> bool:
        """Whether a call that draws could change anything: False at a rate of 0."""
        return self.scheduled or self._p is None or self.p > 0

    @property
    def acts_in_eval(self) -> bool:
        """Whether evaluation changes the input."""
        return self.description.scale == "eval"

    def describe(self, description: core.Drop) -> None:
        """Take another description with the rate of this layer: surgery changes the scale so."""
        self.description = description
        self.scheduled = isinstance(description.rate, Schedule)
        self._plain = description.at(0)
        self._law = law_of(self._plain)
        self.stand_out()

    def move_to(self, step: int) -> None:
        """Bring the schedule to a step: the threshold in the buffer and the rate that `p` shows."""
        assert self.step is not None
        assert self.threshold is not None
        rate = self.description.rate(step)
        self.step.fill_(step)
        self.threshold.fill_(threshold(rate, torch))
        self._p = rate

    def forward(
        self,
        input: Tensor,
        *,
        window: Window = WHOLE,
        **source: Unpack[Source],
    ) -> Tensor:
        """Drop entries of `input` in training, apply the eval map otherwise.

        Args:
            input: a tensor of a real floating type.
            window: the place of the tensor inside a larger one.
            **source: `key`, the address of the draws, or `generator`, where the key is taken from; see
                `dropkit.torch.functional.Source`.
        """
        return self._drop(input, self._law_for(input, window), **source)

    def _drop(self, input: Tensor, law: str, fill: Tensor | None = None, **source: Unpack[Source]) -> Tensor:
        call = self._call(law)
        if self.drawing:
            return functional.perturb(input, call, fill=fill, inplace=self.inplace, **self.source(source))
        return functional.evaluate(input, call, fill=fill, inplace=self.inplace)

    def _call(self, law: str) -> Call:
        # A buffer is slow to look up, hence the question to a plain attribute first.
        return Call(law, None, self.threshold) if self.scheduled else Call(law, self._p)

    def _law_for(self, input: Tensor, window: Window = WHOLE) -> str:
        """The law for this input; layers whose pattern depends on the rank override it."""
        return self._law if window is WHOLE else law_of(self._plain, window)

    def extra_repr(self) -> str:
        """Show the rate, what is not the default, and what forces the mode."""
        rate = self.description.rate if self.scheduled or self._p is None else self._p
        scale = self.description.scale
        parts = [f"p={rate}", f"inplace={self.inplace}"]
        parts += [f"scale={scale!r}"] if scale != "train" else []
        parts += [f"mode={self.forced_mode!r}"] if self.forced_mode else []
        return ", ".join(parts)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, local_metadata: dict[str, Any], *rest: Any
    ) -> None:
        version = local_metadata.get("version")
        if version is not None and version > VERSION:
            rule = f"is at most {VERSION}, the newest address version that this dropkit knows"
            raise DropkitError(
                "state_dict", rule, version, "install the dropkit that saved it, or a newer one"
            )
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)
        if self.step is not None:
            self.move_to(int(self.step))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        unborn = self.step is not None and self.step.is_meta
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]  # it is untyped
        if unborn and self.step is not None and not self.step.is_meta:
            self.move_to(0)  # memory that `to_empty` has just given holds no step
        return self

    def __prepare_scriptable__(self) -> NoReturn:
        mend = "use torch.compile or torch.export, or replace the layer by nn.Identity() for inference"
        raise DropkitError("layer", "cannot be compiled by TorchScript", type(self).__name__, mend)


class Drop(Layer):
    """The layer for any description: y = m(u) x + b(u), one draw u for each group of entries.

    Args:
        rate: a rate (a number in [0, 1], a schedule, a `PerAxis`), or a whole `dropkit.Drop`.
        pattern: which entries share a draw, e.g. `"b c ... -> b c"`; or `Blocks`, `KofN`.
        noise: `"bernoulli"`, `"alpha"`, `"gaussian"` or `"uniform"`.
        scale: where the factor 1 / (1 - rate) goes: `"train"`, `"eval"` or `"none"`.
        inplace: overwrite the input.
        **sizes: sizes of axes that the pattern leaves open, by name.

    Raises:
        DropkitError: a part is wrong, or two parts do not go together.

    >>> Drop(0.1, "b t d -> b d", noise="gaussian")
    Drop(p=0.1, inplace=False, pattern='b t d -> b d', noise='gaussian')
    """

    def __init__(
        self,
        rate: Any,
        pattern: str | Groups = "...",
        *,
        noise: str | Noise = "bernoulli",
        scale: Scale = "train",
        inplace: bool = False,
        **sizes: int,
    ) -> None:
        whole = isinstance(rate, core.Drop)
        super().__init__(rate if whole else core.Drop.of(rate, pattern, noise, scale, sizes), inplace)

    def extra_repr(self) -> str:
        """Show the rate, the groups and the noise."""
        groups, noise = self.description.groups, self.description.noise.name
        shown = f"pattern={groups.pattern!r}" if isinstance(groups, Pattern) else f"groups={groups}"
        return f"{super().extra_repr()}, {shown}, noise={noise!r}"
