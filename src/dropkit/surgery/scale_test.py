import copy
import itertools
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import dropkit
from dropkit.core.check import DropkitError
from dropkit.core.mode import Scale
from dropkit.surgery import Rescaled, bake_scale, convert_scale
from dropkit.torch import (
    AlphaDropout,
    Drop,
    DropLSTM,
    Dropout,
    Dropout2d,
    DropPath,
    GaussianDropout,
    TokenDropout,
    UniformDropout,
    Zoneout,
)

# At these rates 1 - p and 1 / (1 - p) are powers of two: they leave every bit of a mantissa alone.
EXACT_RATES = [0.5, 0.75]
TO: list[tuple[Scale, Scale]] = [("train", "eval"), ("eval", "train")]


def mlp(scale: Scale, p: float = 0.5) -> Any:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(6, 8),
        nn.ReLU(),
        Dropout(p, scale=scale),
        nn.Linear(8, 8),
        nn.LeakyReLU(),
        Dropout(p, scale=scale),
        nn.ReLU(),
        nn.Linear(8, 3),
    )


def cnn(scale: Scale, p: float = 0.5) -> Any:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3),
        Dropout2d(p, scale=scale),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
        nn.ReLU(),
        Dropout(p, scale=scale),
        nn.MaxPool2d(2),
        nn.ConvTranspose2d(4, 2, 2),
        Drop(p, "b c ... -> b c", scale=scale),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(8, 3),
    )


MODELS = [(mlp, (5, 6)), (cnn, (5, 1, 8, 8))]


def run(model: Any, x: Tensor, training: bool) -> Any:
    torch.manual_seed(1)
    return model.train(training)(x)


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize(("before", "after"), TO)
@pytest.mark.parametrize("p", EXACT_RATES)
@pytest.mark.parametrize(("make", "shape"), MODELS)
def test_the_model_computes_what_it_did_under_the_same_masks(
    make: Callable[..., Any],
    shape: tuple[int, ...],
    p: float,
    before: Scale,
    after: Scale,
    training: bool,
) -> None:
    model, x = make(before, p), torch.randn(shape, generator=torch.Generator().manual_seed(2))
    converted, changes = convert_scale(model, after)
    assert [m.description.scale for m in converted if isinstance(m, dropkit.torch.Layer)] == [after] * len(
        changes
    )
    assert torch.equal(run(converted, x, training), run(model, x, training))


@pytest.mark.parametrize(("before", "after"), TO)
def test_any_rate_costs_one_rounding_a_weight(before: Scale, after: Scale) -> None:
    model = mlp(before, 0.3)
    converted, changes = convert_scale(model, after)
    factor = 0.7 if after == "train" else 1 / 0.7
    assert [change.factor for change in changes] == [factor, factor]
    for linear in ("3", "7"):
        expected = model.get_parameter(f"{linear}.weight") * factor
        assert torch.equal(converted.get_parameter(f"{linear}.weight"), expected)


@pytest.mark.parametrize("p", EXACT_RATES)
@pytest.mark.parametrize(("before", "after"), TO)
def test_gradients_of_the_weights_are_divided_by_the_factor_and_all_others_stay(
    p: float, before: Scale, after: Scale
) -> None:
    model, x = mlp(before, p), torch.randn(5, 6, generator=torch.Generator().manual_seed(2))
    converted, changes = convert_scale(model, after)
    for each in (model, converted):
        run(each, x, training=True).square().sum().backward()
    factors = {weight: change.factor for change in changes for weight in change.weights}
    assert set(factors) == {"3.weight", "7.weight"}
    for name, parameter in model.named_parameters():
        assert torch.equal(converted.get_parameter(name).grad * factors.get(name, 1.0), parameter.grad), name


@pytest.mark.parametrize(("rate", "dtype"), [(1 - 1e-6, torch.float16), (1 - 1e-7, torch.float16)])
def test_a_factor_that_the_type_cannot_carry_is_refused(rate: float, dtype: torch.dtype) -> None:
    linear = nn.Linear(4, 4, dtype=dtype)
    model, before = nn.Sequential(nn.Dropout(rate), linear), linear.weight.clone()
    with pytest.raises(DropkitError, match=r"has room for 1.weight times .*convert the model in float32"):
        convert_scale(model, "eval", inplace=True)
    assert torch.equal(linear.weight, before)


def test_there_and_back_is_the_same_model() -> None:
    model = cnn("train")
    back, _ = convert_scale(convert_scale(model, "eval")[0], "train")
    assert repr(back) == repr(model)
    torch.testing.assert_close(back.state_dict(), model.state_dict(), rtol=0, atol=0)


def test_a_deep_copy_changes_and_the_changes_are_listed() -> None:
    model = mlp("train")
    before, shown = copy.deepcopy(model.state_dict()), repr(model)
    _, changes = convert_scale(model, "eval")
    assert changes == [
        Rescaled("2", 0.5, "train", "eval", 2.0, ("3.weight",)),
        Rescaled("5", 0.5, "train", "eval", 2.0, ("7.weight",)),
    ]
    with pytest.raises(FrozenInstanceError):
        changes[0].rate = 0.1  # type: ignore[misc]  # that is the test
    assert repr(model) == shown
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)


def test_in_place_the_parameters_stay_the_same_objects() -> None:
    model = mlp("train")
    weight, numbers = model[3].weight, model[3].weight.tolist()
    converted, _ = convert_scale(model, "eval", inplace=True)
    assert converted is model
    assert model[3].weight is weight
    assert (weight.is_leaf, weight.requires_grad) == (True, True)
    assert weight.tolist() == [[2 * number for number in row] for row in numbers]


def test_what_only_names_is_converted_and_nothing_else() -> None:
    model = mlp("train")
    converted, changes = convert_scale(model, "eval", only=["5"])
    assert [change.layer for change in changes] == ["5"]
    assert (converted[2].description.scale, converted[5].description.scale) == ("train", "eval")
    assert torch.equal(converted[3].weight, model[3].weight)


def test_torchs_own_dropout_becomes_ours() -> None:
    model: Any = nn.Sequential(
        nn.Linear(6, 4), nn.Dropout(0.5, inplace=True), nn.Linear(4, 3), nn.Dropout(0.0)
    )
    model.eval()
    converted, changes = convert_scale(model, "eval")
    assert repr(converted[1]) == "Dropout(p=0.5, inplace=True, scale='eval')"
    assert isinstance(converted[3], Dropout)
    assert not converted[1].training
    assert [change.weights for change in changes] == [("2.weight",), ()]
    x = torch.randn(5, 6, generator=torch.Generator().manual_seed(2))
    assert torch.equal(converted(x), model(x))
    assert convert_scale(model, "train")[1] == []


def test_torchs_channel_dropout_becomes_ours() -> None:
    model: Any = nn.Sequential(
        nn.Dropout1d(0.5), nn.Dropout2d(0.5), nn.Dropout3d(0.5), nn.Flatten(), nn.Linear(4, 3)
    )
    converted, _ = convert_scale(model, "eval")
    assert [type(layer).__module__ for layer in converted[:3]] == ["dropkit.torch.layers"] * 3
    assert all(isinstance(new, type(old)) for new, old in zip(converted[:3], model[:3], strict=True))


def test_one_layer_used_twice_gives_its_factor_to_both_followers() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = (nn.Linear(4, 4) for _ in range(3))
            self.drop = nn.Dropout(0.5)
            self.again = self.drop

        def forward(self, x: Tensor) -> Tensor:
            x = self.drop(torch.relu(self.a(x)))
            y: Tensor = self.c(self.again(self.b(x).relu()).view(x.size(0), -1))
            return y

    converted, changes = convert_scale(Net(), "eval")
    assert [set(change.weights) for change in changes] == [{"b.weight", "c.weight"}]
    assert converted.drop is converted.again


def test_dropout_behind_dropout_gives_two_factors_to_one_weight() -> None:
    model: Any = nn.Sequential(Dropout(0.5), Dropout(0.75), nn.Linear(4, 2))
    converted, _ = convert_scale(model, "eval")
    assert torch.equal(converted[2].weight, 8 * model[2].weight)
    shared: Any = nn.Sequential(model[0], model[0], model[2])
    assert torch.equal(convert_scale(shared, "eval")[0][2].weight, 4 * model[2].weight)


@pytest.mark.parametrize("model", [Dropout(0.0), nn.Dropout(0.0)], ids=["ours", "torch"])
def test_rate_0_changes_no_weight_whatever_follows(model: nn.Module) -> None:
    whole: Any = nn.Sequential(model, nn.Softmax(0))
    converted, changes = convert_scale(whole, "eval")
    assert changes == [Rescaled("0", 0.0, "train", "eval", 1.0, ())]
    assert converted[0].description.scale == "eval"


def test_a_scale_of_none_is_converted_at_rate_0_only() -> None:
    whole: Any = nn.Sequential(Dropout(0.0))
    assert convert_scale(whole, "none")[0][0].description.scale == "none"
    cases: list[tuple[Dropout, Scale]] = [(Dropout(0.5), "none"), (Dropout(0.5, scale="none"), "eval")]
    for model, to in cases:
        with pytest.raises(DropkitError, match=r"to of '0' keeps what the model computes"):
            convert_scale(nn.Sequential(model, nn.Linear(2, 2)), to)


def test_both_conventions_agree_in_expectation_and_with_eval_over_all_masks() -> None:
    torch.manual_seed(0)
    linear = nn.Linear(4, 3)
    with torch.no_grad():
        linear.weight.copy_(torch.randint(-4, 5, (3, 4)))
        linear.bias.copy_(torch.tensor([1.0, -2.0, 3.0]))
    x = torch.tensor([[1.0, -2.0, 3.0, 5.0]])
    model: Any = nn.Sequential(Dropout(0.5), linear)
    converted, _ = convert_scale(model, "eval")
    for each in (model, converted):
        outputs = {}
        for key in itertools.count():
            dropped = each.train()[0](x, key=key)
            outputs[tuple((dropped != 0)[0].tolist())] = each[1](dropped)
            if len(outputs) == 2**4:
                break
        # All numbers are small multiples of 1/16: the mean over the 16 equally likely masks is exact.
        assert torch.equal(torch.stack(list(outputs.values())).mean(0), model.eval()(x))


def test_baking_frees_eval_of_its_factor() -> None:
    model, x = cnn("eval"), torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(2))
    baked, changes = bake_scale(model)
    assert [change.factor for change in changes] == [0.5] * 3
    assert torch.equal(run(baked, x, training=False), run(model, x, training=False))
    hidden = torch.ones(2, 4)
    assert baked.eval()[4](hidden) is hidden


def test_baking_leaves_layers_without_a_factor_in_eval_alone() -> None:
    model: Any = nn.Sequential(
        Dropout(0.5, scale="eval"), nn.Linear(4, 4), DropPath(0.5), GaussianDropout(0.5)
    )
    assert [change.layer for change in bake_scale(model)[1]] == ["0"]
    with pytest.raises(DropkitError, match="model has dropout of scale 'eval', got 'Sequential'"):
        bake_scale(mlp("train"))


@pytest.mark.parametrize(
    "layer",
    [
        AlphaDropout(0.1),
        GaussianDropout(0.1),
        UniformDropout(0.1),
        nn.AlphaDropout(0.1),
        nn.FeatureAlphaDropout(0.1),
        TokenDropout(0.1, prefix=1),
        TokenDropout(0.1, keep=[0]),
    ],
    ids=repr,
)
def test_layers_without_one_factor_are_refused(layer: nn.Module) -> None:
    with pytest.raises(
        DropkitError, match="model has layers of which 'eval' is a scale and whose entries all"
    ):
        convert_scale(nn.Sequential(layer, nn.Linear(4, 2)), "eval")


def test_zoneout_has_no_factor_to_bake() -> None:
    with pytest.raises(DropkitError, match="got '0: Zoneout'"):
        bake_scale(nn.Sequential(Zoneout(0.1), nn.Linear(4, 2)))


@pytest.mark.parametrize(
    "rate",
    [
        dropkit.linear_schedule(0.0, 0.5, 10),
        dropkit.PerAxis((0.1, 0.2), over="c"),
    ],
)
def test_a_rate_that_is_not_one_fixed_number_is_refused(rate: Any) -> None:
    with pytest.raises(DropkitError, match="model has one fixed rate at '0'"):
        convert_scale(nn.Sequential(Drop(rate, "b c -> b c"), nn.Linear(2, 2)), "eval")


@pytest.mark.parametrize("layer", [nn.Dropout(1.0), Dropout(1.0)])
def test_rate_1_is_refused(layer: nn.Module) -> None:
    with pytest.raises(DropkitError, match=r"from a rate below 1.* got 'train to eval at rate 1.0'"):
        convert_scale(nn.Sequential(layer, nn.Linear(2, 2)), "eval")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((mlp("train"), "test"), "to must be one of 'train', 'eval', 'none', got 'test'"),
        ((nn.Linear(2, 2), "eval"), "model has dropout layers, got 'Linear'"),
        ((torch.ones(2), "eval"), "model must be a Module"),
    ],
)
def test_bad_input_is_refused(arguments: tuple[Any, Any], message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        convert_scale(*arguments)


@pytest.mark.parametrize("name", ["3", "drop"])
def test_only_names_dropout_layers(name: str) -> None:
    with pytest.raises(DropkitError, match=f"only must be one of the names, got '{name}'"):
        convert_scale(mlp("train"), "eval", only=[name])


def test_nothing_is_changed_in_place_where_one_layer_is_refused() -> None:
    model = mlp("train").append(Dropout(0.5))
    before, shown = copy.deepcopy(model.state_dict()), repr(model)
    with pytest.raises(DropkitError, match="behind '8'"):
        convert_scale(model, "eval", inplace=True)
    assert repr(model) == shown
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)


def test_a_recurrent_network_with_sites_is_one_step_of_the_graph() -> None:
    model = Recurrent()
    _, changed = convert_scale(model, "eval", only=["drop"])
    assert [change.layer for change in changed] == ["drop"]
    with pytest.raises(DropkitError, match=r"model calls 'lstm\.sites\.state' in its forward pass"):
        convert_scale(model, "eval")


class Recurrent(nn.Module):
    """Dropout inside of a recurrent network, which cannot move into weights, and behind it, which can."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.drop, self.head = DropLSTM(4, 5, state=0.3), Dropout(0.5), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Any:
        return self.head(self.drop(self.lstm(x)[0]))
