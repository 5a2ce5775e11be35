"""R-Drop for Keras: a model whose training sends every batch through twice and compares the predictions."""

from __future__ import annotations

import math
from typing import Any

import keras

from dropkit.core.check import DropkitError, Interval, check_kind
from dropkit.keras.layer import registered
from dropkit.methods.r_drop import divergence

__all__ = ["RDrop", "SymmetricKL"]

Tensor = Any
_ALPHA = Interval(0, math.inf, "give a factor of the term, e.g. 1.0", open_high=True)


@registered
class SymmetricKL(keras.losses.Loss):  # type: ignore[misc]  # Keras ships no types
    """(KL(p || q) + KL(q || p)) / 2 of two predictions of classes, which lie along the last axis.

    Args:
        from_logits: whether the predictions are logits; by default they are probabilities, as in Keras's own.
        reduction: that of every Keras loss.
        name: likewise.
        dtype: likewise.

    Raises:
        DropkitError: when it is called, if there is but one class, or the shapes differ.

    >>> float(SymmetricKL()([[0.5, 0.5]], [[0.25, 0.75]]))  # doctest: +ELLIPSIS
    0.1373...
    """

    def __init__(
        self,
        from_logits: bool = False,
        reduction: str = "sum_over_batch_size",
        name: str = "symmetric_kl",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.from_logits = check_kind("from_logits", from_logits, bool, "write True or False")

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return a number a row."""
        y_true, y_pred = (keras.ops.convert_to_tensor(each) for each in (y_true, y_pred))
        shapes = tuple(y_true.shape), tuple(y_pred.shape)
        if len(shapes[0]) != len(shapes[1]) or shapes[0][-1:] != shapes[1][-1:]:
            raise DropkitError("predictions", "have one shape", shapes, "compare two passes of one model")
        if len(shapes[0]) < 2 or shapes[0][-1] == 1:
            mend = "end the model with one output a class; a sigmoid of one becomes a softmax of two"
            raise DropkitError("predictions", "have two classes or more along the last axis", shapes[0], mend)
        return divergence(self._logs(y_true), self._logs(y_pred), keras.ops)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments as plain data."""
        return dict(super().get_config(), from_logits=self.from_logits)

    def _logs(self, predictions: Tensor) -> Tensor:
        if self.from_logits:
            return keras.ops.log_softmax(predictions, -1)
        # A softmax may underflow to 0, and Keras's own losses clip there.
        return keras.ops.log(keras.ops.clip(predictions, keras.config.epsilon(), 1.0))


@registered
class RDrop(keras.Model):  # type: ignore[misc]  # Keras ships no types
    """A model that is trained with R-Drop (Liang et al. 2021): compile and fit this in its place.

    loss = (loss(p) + loss(q)) / 2 + alpha (KL(p || q) + KL(q || p)) / 2, where p and q are the predictions of
    a batch under two masks. One pass gives both: in training the batch goes in twice, one after the other, so
    that a step costs two. Rows with a weight or a mask count in the divergence as in the loss. Metrics see p.
    `evaluate` and `predict` are those of the model, which shares its weights and can be saved alone.

    The two halves differ where each sample has coins of its own; a mask that a whole batch shares, as that of
    `DropConnect`, is one for both.

    Args:
        model: a model with dropout and one output of classes.
        alpha: the factor of the divergence, at least 0. The paper's readers try 0.5 to 5.
        from_logits: whether the outputs are logits; by default they are probabilities, as after a softmax.
        **kwargs: those of every Keras model, e.g. `name`.

    Raises:
        DropkitError: alpha is out of range; in `fit`, if the outputs are not one tensor with two classes or
            more.

    >>> from dropkit.keras import Dropout
    >>> model = keras.Sequential([Dropout(0.5), keras.layers.Dense(3, activation="softmax")])
    >>> trained = RDrop(model, alpha=1.0)
    >>> trained.compile("sgd", "sparse_categorical_crossentropy")
    >>> x, y = keras.ops.ones((8, 4)), keras.ops.ones((8,), "int32")
    >>> list(trained.fit(x, y, verbose=0).history)
    ['loss']
    """

    def __init__(
        self, model: keras.Model, alpha: float = 1.0, from_logits: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.model = check_kind("model", model, keras.Model, "give the model itself")
        self.alpha = _ALPHA.check("alpha", alpha)
        self.divergence = SymmetricKL(from_logits)

    def call(self, inputs: Any, training: bool | None = False) -> Any:
        """Return the predictions; in training those of the inputs and, after them, of the inputs again."""
        return self.model(_twice(inputs) if training else inputs, training=training)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        """Return the loss of both halves and the divergence between them."""
        if not training:
            return super().compute_loss(x, y, y_pred, sample_weight)
        if not keras.ops.is_tensor(y_pred):
            mend = "train the output of classes, or write the loss with SymmetricKL"
            raise DropkitError("model", "has one output", type(y_pred).__name__, mend)
        task = super().compute_loss(x, _twice(y), y_pred, _twice(sample_weight))
        size = keras.ops.shape(y_pred)[0] // 2
        p, q = _rows(y_pred, 0, size), _rows(y_pred, size, 2 * size)
        return task + self.alpha * self.divergence(q, p, sample_weight)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """Return the metrics of the first half."""
        size = keras.ops.shape(keras.tree.flatten(x)[0])[0]
        first = keras.tree.map_structure(lambda each: _rows(each, 0, size), y_pred)
        found: dict[str, Any] = super().compute_metrics(x, y, first, sample_weight)
        return found

    def get_config(self) -> dict[str, Any]:
        """Return the arguments as plain data."""
        own = {"alpha": self.alpha, "from_logits": self.divergence.from_logits, "name": self.name}
        return {"model": keras.saving.serialize_keras_object(self.model)} | own

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> RDrop:
        """Return what a configuration says."""
        model = keras.saving.deserialize_keras_object(config["model"], custom_objects=custom_objects)
        return cls(**dict(config, model=model))


def _twice(batch: Any) -> Any:
    def doubled(each: Any) -> Any:
        return None if each is None else keras.ops.concatenate([each, each], 0)

    return keras.tree.map_structure(doubled, batch)


def _rows(tensor: Tensor, start: Any, stop: Any) -> Tensor:
    """Return rows with the mask that Keras has put on them."""
    rows, mask = tensor[start:stop], getattr(tensor, "_keras_mask", None)
    if mask is not None:
        rows._keras_mask = mask[start:stop]
    return rows
