"""The networks of a study: three built in, or the user's own factory, checked before anything is spent."""

from __future__ import annotations

import functools
import hashlib
import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from dropkit.core.check import DropkitError, suggest
from dropkit.experiments.keras_net import built
from dropkit.experiments.randomness import seeded
from dropkit.experiments.user_file import is_spec, load_function, name_of, reason, split_spec
from dropkit.experiments.word_dropout import PADDING

__all__ = [
    "BUILT_IN",
    "ModelSource",
    "check_model",
    "cnn",
    "code_text",
    "default_model",
    "materialise",
    "mlp",
    "sample",
    "text",
]

_MEND_FACTORY = (
    "write FILE.py:make_model, a function that returns a fresh torch.nn.Module; it may take"
    " input_shape=, n_outputs= and, for words, n_words="
)
_MOST_INPUTS = 2**18
_ROWS = 4


def mlp(input_shape: tuple[int, ...], n_outputs: int) -> nn.Module:
    """Two hidden layers of ReLU units: 512 wide for 256 inputs and more, 128 below.

    >>> mlp((1, 8, 8), 10)[-1]
    Linear(in_features=128, out_features=10, bias=True)
    """
    inputs = math.prod(input_shape)
    width = 512 if inputs >= 256 else 128
    hidden = [nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()]
    return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(width, n_outputs))


def cnn(input_shape: tuple[int, ...], n_outputs: int) -> nn.Module:
    """Two convolutions with pooling and one hidden layer, for images of at least 4 x 4 pixels.

    >>> cnn((1, 8, 8), 10)(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 10])
    """
    if len(input_shape) != 3 or min(input_shape[1:]) < 4:
        rule = "'cnn' needs images of at least 4 x 4 pixels (channels, height, width)"
        raise DropkitError("model", rule, input_shape, "use --model mlp, which takes any shape")
    channels, height, width = input_shape
    return nn.Sequential(
        *_convolution(channels, 16),
        *_convolution(16, 32),
        nn.Flatten(),
        nn.Linear(32 * (height // 4) * (width // 4), 128),
        nn.ReLU(),
        nn.Linear(128, n_outputs),
    )


def _convolution(channels: int, out: int) -> list[nn.Module]:
    return [nn.Conv2d(channels, out, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]


def text(n_outputs: int, n_words: int) -> nn.Module:
    """The mean of 64 learned features of each word, and one hidden layer.

    Iyyer et al. 2015, "Deep Unordered Composition Rivals Syntactic Methods for Text Classification".

    >>> text(3, n_words=10)(torch.tensor([[2, 7, 0, 0]])).shape
    torch.Size([1, 3])
    """
    return nn.Sequential(_MeanOfWords(n_words, 64), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, n_outputs))


class _MeanOfWords(nn.Module):
    """The mean of the features of all words that are no padding."""

    def __init__(self, n_words: int, features: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(n_words, features, padding_idx=PADDING)
        with torch.no_grad():
            self.embedding.weight.mul_(0.1)  # torch's variance of 1 drowns what is learned in what was drawn

    def forward(self, words: Tensor) -> Tensor:
        """Features (rows, features) of words (rows, length)."""
        there = (words != PADDING).unsqueeze(2)
        mean: Tensor = (self.embedding(words) * there).sum(1) / there.sum(1).clamp(min=1)
        return mean


BUILT_IN: dict[str, Callable[..., nn.Module]] = {"mlp": mlp, "cnn": cnn, "text": text}


def default_model(n_words: int) -> str:
    """The built-in model for inputs that nobody named one for: numbers, or numbers of words."""
    return "text" if n_words else "mlp"


@dataclass(frozen=True)
class ModelSource:
    """Where models come from: a built-in name, `FILE.py:make_model`, or a callable."""

    source: str | Callable[..., Any]

    @property
    def name(self) -> str:
        """As the user wrote it."""
        return self.source if isinstance(self.source, str) else name_of(self.source, "callable")

    def digest(self, model: nn.Module, input_shape: tuple[int, ...], n_words: int = 0) -> str:
        """Hash of all that makes the model what it is, so that a changed model is another.

        These are the texts of the factory and of the files in which the forward passes of its modules stand,
        the layers, their first values, and what the model gives for one batch in eval mode and in training
        mode, all drawn under a fixed seed: what closures, attributes and imported files set shows there.

        Args:
            model: as `check_model` made it.
            input_shape: shape of one row.
            n_words: of inputs that are numbers of words, else 0.
        """
        texts = {code_text(type(module).forward) for module in model.modules() if not _is_known(module)}
        found = hashlib.sha256("\n".join([self._text(), repr(model), *sorted(texts)]).encode())
        with seeded(0):
            outputs = try_forward(model, input_shape, n_words)
        for name, values in (*model.named_parameters(), *model.named_buffers(), ("outputs", outputs)):
            found.update(f"{name} {values.dtype} {tuple(values.shape)}".encode())
            found.update(_bytes(values))
        for values in _in_training(model, input_shape, n_words):
            found.update(_bytes(values))
        return found.hexdigest()[:16]

    def _text(self) -> str:
        if callable(self.source):
            return self.name + code_text(self.source)
        if self.source in BUILT_IN:
            return self.source
        path, name = split_spec(self.source)
        return name + path.read_text(encoding="utf-8", errors="replace")

    def factory(self) -> Callable[..., Any]:
        """The callable, loaded from its file if need be."""
        if callable(self.source):
            return self.source
        if self.source in BUILT_IN:
            return BUILT_IN[self.source]
        if not isinstance(self.source, str) or not is_spec(self.source):
            mend = suggest(self.source, [*BUILT_IN, "FILE.py:make_model"])
            raise DropkitError(
                "model", "must be 'mlp', 'cnn', 'text' or FILE.py:make_model", self.source, mend
            )
        return load_function("model", self.source, _MEND_FACTORY)

    def build(self, input_shape: tuple[int, ...], n_outputs: int, n_words: int = 0) -> nn.Module:
        """A fresh model; the factory gets `input_shape`, `n_outputs` and `n_words` where it takes them.

        `n_words` is given where inputs are numbers of words, which all lie below it.
        """
        factory, words = self.factory(), {"n_words": n_words} if n_words else {}

        def make(shape: tuple[int, ...]) -> Any:
            return _call(factory, self.name, input_shape=shape, n_outputs=n_outputs, **words)

        model: nn.Module = built(make, input_shape)
        return model


@torch.no_grad()
def _in_training(model: nn.Module, input_shape: tuple[int, ...], n_words: int) -> list[Tensor]:
    """Outputs for one batch in training mode, where the rate of a function such as F.dropout shows.

    Empty where the same seed gives others, as where a model draws from a generator of its own. Weights,
    buffers and `training` of the model are left as they were.
    """
    was_training, passes = model.training, list[Tensor]()
    kept = [(value, value.clone()) for value in (*model.parameters(), *model.buffers())]
    try:
        for _ in range(2):
            with seeded(0):
                passes.append(model.train()(sample(_ROWS, input_shape, n_words)))
            for value, before in kept:  # batch normalisation moved
                value.copy_(before)
    finally:
        model.train(was_training)
    return passes[:1] if torch.equal(*passes) else []


def _bytes(values: Tensor) -> bytes:
    dense = values.detach().to_dense() if values.layout is not torch.strided else values.detach()
    return dense.reshape(-1).view(torch.uint8).numpy().tobytes()


def _is_known(module: nn.Module) -> bool:
    """Whether a module comes with torch or with us, whose versions are in the plan."""
    return type(module).__module__.partition(".")[0] in ("torch", "dropkit")


def code_text(function: Any) -> str:
    """Return the file in which a function stands, or its code where there is none."""
    while isinstance(function, functools.partial):
        function = function.func
    function = inspect.unwrap(function)  # by functools.wraps, perhaps of a class
    code = function.__code__ if inspect.isfunction(function) else None
    if code is None:
        return _source_text(function)
    path = Path(code.co_filename)
    if path.is_file():
        return path.read_text(encoding="utf-8", errors="replace")
    return f"{code.co_code!r} {code.co_consts!r} {code.co_names!r}"


def _source_text(factory: Callable[..., Any]) -> str:
    try:
        return inspect.getsource(factory)
    except (OSError, TypeError):  # typed at a prompt, or a builtin: the name has to do
        return ""


def _call(factory: Callable[..., Any], name: str, **offered: Any) -> Any:
    parameters = _parameters(factory)
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters)
    wanted = {
        key: value for key, value in offered.items() if takes_all or key in {p.name for p in parameters}
    }
    try:
        return factory(**wanted)
    except DropkitError:
        raise
    except (Exception, SystemExit) as error:
        rule = f"{name} must return a model, called with {', '.join(wanted) or 'nothing'}: {reason(error)}"
        raise DropkitError("model", rule, name, _MEND_FACTORY) from error


def _parameters(factory: Callable[..., Any]) -> list[inspect.Parameter]:
    if inspect.isclass(factory) and factory.__init__ is nn.Module.__init__:
        return []  # its signature takes anything, and refuses it
    try:
        return list(inspect.signature(factory).parameters.values())
    except (TypeError, ValueError):  # a builtin without a signature
        return []


def check_model(
    source: ModelSource, input_shape: tuple[int, ...], n_outputs: int, n_words: int = 0
) -> nn.Module:
    """Build a model twice and try it on a small batch, or say what is wrong with it."""
    _check_source(source, input_shape, n_words)
    with seeded(0):  # the digest looks at the first values
        model, other = (source.build(input_shape, n_outputs, n_words) for _ in range(2))
    if not isinstance(model, nn.Module):
        raise DropkitError("model", f"{source.name} must return a torch.nn.Module", model, _MEND_FACTORY)
    if any(isinstance(module, torch.jit.ScriptModule) for module in model.modules()):
        rule = "must hold no module of TorchScript: nothing can be put behind one"
        raise DropkitError("model", rule, source.name, "return the module before torch.jit.script")
    trainable = [p for p in model.parameters() if p.requires_grad]
    if not trainable:
        raise DropkitError(
            "model", "must have parameters to train", type(model).__name__, "add a layer such as Linear"
        )
    if any(p is q for p in trainable for q in other.parameters()):
        rule = "must be fresh at every call: two calls shared parameters"
        raise DropkitError("model", rule, source.name, "build the model inside the function")
    with seeded(0):  # lazy layers draw their first values here
        _check_output(model, input_shape, n_outputs, n_words)
        _check_training(other, input_shape, n_words)
    return model


def _check_source(source: ModelSource, input_shape: tuple[int, ...], n_words: int) -> None:
    """Refuse a model in the place of its factory, and a built-in one for inputs that it is not made for."""
    if isinstance(source.source, nn.Module):
        name = type(source.source).__name__
        rule = "must be a function that returns a fresh model, as every run begins with weights of its own"
        raise DropkitError("model", rule, name, f"write model=lambda: {name}(...)")
    fitting = {True: ["text"], False: [name for name in BUILT_IN if name != "text"]}
    if source.source in fitting[not n_words]:
        given, mend = ("words", "text") if n_words else ("numbers", "mlp")
        rule = f"must take {given}, which these inputs are"
        raise DropkitError("model", rule, source.source, f"use --model {mend}")
    if source.source in fitting[False] and math.prod(input_shape) > _MOST_INPUTS:
        rule = f"{source.source!r} takes at most {_MOST_INPUTS:,} numbers a row"
        raise DropkitError("model", rule, input_shape, "make the images smaller, or write FILE.py:make_model")


def _check_training(model: nn.Module, input_shape: tuple[int, ...], n_words: int) -> None:
    """What fails in the first training step would fail in every run."""
    try:
        torch.autograd.backward(model.train()(sample(_ROWS, input_shape, n_words)).sum())
    except (Exception, SystemExit) as error:
        rule = f"must run forward and backward in training mode: {reason(error)}"
        raise DropkitError("model", rule, type(model).__name__, "try one training step by hand") from error


def _check_output(model: nn.Module, input_shape: tuple[int, ...], n_outputs: int, n_words: int) -> None:
    out = try_forward(model, input_shape, n_words)
    shape = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
    if shape != (2, n_outputs):
        rule = f"must give (batch, {n_outputs}) outputs for inputs of shape (batch, {_sizes(input_shape)})"
        raise DropkitError(
            "model", rule, shape, "take n_outputs= in make_model and use it for the last layer"
        )
    if not torch.isfinite(out).all():
        raise DropkitError("model", "must give finite outputs", "NaN or infinity", "check its initialisation")


def sample(rows: int, input_shape: tuple[int, ...], n_words: int = 0) -> Tensor:
    """A batch to try a model on: numbers from 0 to 1, or of words, the last quarter of them padding.

    >>> sample(2, (4,), n_words=3)
    tensor([[1, 2, 2, 0],
            [2, 2, 2, 0]])
    """
    generator = torch.Generator().manual_seed(0)
    if not n_words:
        return torch.rand(rows, *input_shape, generator=generator)
    words = torch.randint(PADDING + 1, n_words, (rows, *input_shape), generator=generator)
    words[:, math.ceil(0.75 * input_shape[0]) :] = PADDING
    return words


def try_forward(model: nn.Module, input_shape: tuple[int, ...], n_words: int = 0) -> Any:
    """Outputs of a model in eval mode for a batch of two."""
    was_training = model.training
    try:
        with torch.no_grad():
            return model.eval()(sample(2, input_shape, n_words))
    except (Exception, SystemExit) as error:
        kind = f"numbers of words below {n_words}" if n_words else "inputs"
        rule = f"must take {kind} of shape (batch, {_sizes(input_shape)}): {reason(error)}"
        mend = f"take {'n_words' if n_words else 'input_shape'}= in make_model and use it"
        raise DropkitError("model", rule, type(model).__name__, mend) from error
    finally:
        model.train(was_training)


def materialise(model: nn.Module, input_shape: tuple[int, ...], n_words: int = 0) -> nn.Module:
    """The model, whose lazy layers have drawn their first values.

    >>> materialise(nn.Sequential(nn.LazyLinear(3)), (4,))[0]
    Linear(in_features=4, out_features=3, bias=True)
    """
    if any(is_lazy(value) for value in (*model.parameters(), *model.buffers())):
        try_forward(model, input_shape, n_words)
    return model


def _sizes(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))
