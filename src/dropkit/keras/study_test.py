"""`dropkit.study` on a Keras model, which it trains on Keras's torch backend; elsewhere it says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import pytest

import dropkit
import dropkit.keras as dk
from dropkit.core.check import DropkitError

BACKEND = keras.backend.backend()
on_torch = pytest.mark.skipif(BACKEND != "torch", reason="a study trains on PyTorch")


def make_model(input_shape: tuple[int, ...], n_outputs: int) -> Any:
    layers = [
        keras.Input(input_shape),
        keras.layers.Conv2D(4, 3, activation="relu"),
        keras.layers.Flatten(),
        keras.layers.Dense(16),
        keras.layers.ReLU(),
        keras.layers.Dropout(0.2),
        dk.GaussianDropout(0.1),
        keras.layers.Dense(n_outputs),
    ]
    return keras.Sequential(layers)


def new_model() -> Any:
    from dropkit.experiments.models import ModelSource

    return ModelSource(make_model).build((1, 8, 8), 10)


@on_torch
def test_sites_are_the_activations_and_stand_before_the_last_layer() -> None:
    from dropkit.experiments.own import own_dropout
    from dropkit.experiments.sites import places_for

    model = new_model()
    places = places_for(model, (1, 8, 8))
    assert places["dropout"] == ("layers.0", "layers.3")
    assert places["spatial_dropout"] == places["drop_block"] == ("layers.0",)
    assert own_dropout(model) == ("1 x Dropout", "1 x GaussianDropout")


@on_torch
def test_an_arm_drops_channels_of_keras_and_switches_off_what_the_model_brings() -> None:
    import torch

    from dropkit.experiments.sites import places_for, with_arm
    from dropkit.report.plan import Arm

    model = new_model()
    places = places_for(model, (1, 8, 8))
    seen = []
    with_arm(model, Arm("a", "a", method="spatial_dropout", rate=0.5), places).train()
    model.get_submodule("layers.1").register_forward_hook(lambda _m, given, _y: seen.append(given[0]))
    x = torch.rand(3, 1, 8, 8)
    model(x)
    dropped = (seen[0] == 0).reshape(3, 36, 4).all(1)  # (batch, height, width, channels)
    assert dropped.any()
    assert not dropped.all()
    plain = with_arm(new_model(), Arm("n", "n", rate=0.0), places).train()
    torch.testing.assert_close(plain(x), plain(x))


@on_torch
def test_weights_move_from_one_build_to_another_and_are_clipped() -> None:
    import torch

    from dropkit.experiments.keras_net import clip_kernels_

    one, other = new_model().eval(), new_model().eval()
    other.load_state_dict(one.state_dict())
    x = torch.rand(2, 1, 8, 8)
    torch.testing.assert_close(one(x), other(x))
    clip_kernels_(one, 0.1)
    kernel = one.layers[2].kernel.value.detach()
    assert float(kernel.norm(dim=0).max()) == pytest.approx(0.1, rel=1e-5)


@on_torch
def test_dropout_inside_of_recurrent_layers_is_found_and_switched_off() -> None:
    import torch

    from dropkit.experiments.keras_net import built
    from dropkit.experiments.own import own_dropout, switch_off

    def make(shape: tuple[int, ...]) -> Any:
        layers = keras.layers
        lstm = layers.LSTM(5, dropout=0.3, return_sequences=True)
        both = layers.Bidirectional(layers.GRU(4, recurrent_dropout=0.3))
        zoned = dk.DropRNN(layers.SimpleRNNCell(3, dropout=0.1), zoneout=0.2)
        x = keras.Input(shape)
        return keras.Model(x, layers.concatenate([both(lstm(x)), zoned(x)]))

    net = built(make, (6, 3)).train()
    assert sorted(own_dropout(net)) == ["1 x Drop", "1 x LSTM", "1 x SimpleRNNCell", "2 x GRU"]
    x = torch.rand(4, 6, 3)
    assert (net(x) != net(x)).any()
    switch_off(net)
    assert own_dropout(net) == ()
    torch.testing.assert_close(net(x), net(x), rtol=0, atol=0)


def test_a_factory_gets_the_shape_in_the_order_of_its_framework() -> None:
    from torch import nn

    from dropkit.experiments.keras_net import built

    seen = []

    def of_torch(shape: tuple[int, ...]) -> Any:
        seen.append(shape)
        return nn.Linear(shape[0], 2)

    def of_keras(shape: tuple[int, ...]) -> Any:
        seen.append(shape)
        return keras.Sequential([keras.Input(shape), keras.layers.Conv2D(2, 3)])

    assert isinstance(built(of_torch, (1, 8, 9)), nn.Linear)
    assert seen == [(1, 8, 9)]
    if BACKEND == "torch":
        # A side of 1 is too small for the convolution: that it is of Keras shows at the second call.
        assert built(of_keras, (1, 8, 9))(keras.ops.ones((2, 1, 8, 9))).shape == (2, 6, 7, 2)
        assert seen[1:] == [(1, 8, 9), (8, 9, 1)]
        assert built(of_keras, (4, 8, 9))(keras.ops.ones((2, 4, 8, 9))).shape == (2, 6, 7, 2)


def test_an_error_of_a_factory_is_its_first() -> None:
    from dropkit.experiments.keras_net import built

    def broken(shape: tuple[int, ...]) -> Any:
        raise ValueError(f"cannot take {shape}")

    with pytest.raises(ValueError, match=r"cannot take \(1, 8, 9\)"):
        built(broken, (1, 8, 9))


@on_torch
@pytest.mark.filterwarnings("default")  # Keras warns on torch
def test_a_study_of_a_keras_model_ends_with_an_answer(tmp_path: Path) -> None:
    result = dropkit.study(
        "digits",
        model=make_model,
        pairs=6,
        trials=1,
        epochs=1,
        train_rows=200,
        out=tmp_path / "study",
        quiet=True,
        workers=1,
    )
    assert result.verdict
    assert all(run.failure is None for run in result.runs)
    assert (tmp_path / "study" / "report.html").exists()


@pytest.mark.skipif(BACKEND == "torch", reason="there it trains")
def test_on_another_backend_a_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DropkitError, match="set KERAS_BACKEND=torch"):
        dropkit.study("digits", model=make_model, out=tmp_path / "study", quiet=True)
