import copy
import pickle
from typing import Any

import pytest
import torch
from torch import nn

import dropkit
from dropkit import Drop, DropkitError, Key
from dropkit.core.method import Method
from dropkit.methods import catalogue
from dropkit.torch import (
    DropConnect,
    Dropout,
    LoRALinear,
    NoisyWeights,
    QuantNoise,
    SparseVariationalDropout,
    Stepper,
    TargetedWeightDropout,
    under_key,
    unwrap_weights,
    wrap_weights,
)
from dropkit.torch.noisy import Wrapper, call_with

X = torch.randn(4, 6, generator=torch.Generator().manual_seed(1))
LAYERS: list[tuple[nn.Module, tuple[int, ...]]] = [
    (nn.Linear(6, 3), (4, 6)),
    (nn.Linear(6, 3, bias=False), (2, 4, 6)),
    (nn.Conv1d(4, 6, 3, stride=2, padding=1, groups=2), (2, 4, 9)),
    (nn.Conv2d(4, 8, (3, 2), stride=(2, 1), dilation=2, groups=4, bias=False), (2, 4, 9, 8)),
    (nn.Conv2d(3, 5, 3, padding=1, padding_mode="circular"), (2, 3, 6, 6)),
    (nn.ConvTranspose2d(3, 4, 3, stride=2, output_padding=1), (2, 3, 4, 4)),
]


def noisy(module: nn.Module, p: Any = 0.5) -> NoisyWeights:
    return NoisyWeights(module, Dropout(p))


def masked(weight: torch.Tensor, p: float, key: Any) -> torch.Tensor:
    return weight * torch.from_numpy(dropkit.mask(key, tuple(weight.shape), Drop(p))).to(weight.dtype)


@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=lambda part: str(part)[:24])
def test_a_pass_is_that_of_the_layer_with_the_masked_weight(layer: nn.Module, shape: tuple[int, ...]) -> None:
    x, wrapper = torch.randn(shape), noisy(layer)
    expected = copy.deepcopy(layer)
    with torch.no_grad():
        expected.weight.copy_(masked(layer.weight, 0.5, 3))  # type: ignore[operator,arg-type]  # a parameter
    assert torch.equal(wrapper(x, key=3), expected(x))
    assert torch.equal(wrapper.eval()(x), layer(x))


def test_the_gradient_comes_to_the_kept_weights_alone() -> None:
    layer = nn.Linear(6, 3)
    noisy(layer)(X, key=3).sum().backward()
    expected = masked(torch.ones(3, 6), 0.5, 3) * X.sum(0)
    assert layer.weight.grad is not None
    torch.testing.assert_close(layer.weight.grad, expected)


def test_no_pass_leaves_anything_behind() -> None:
    layer = nn.Linear(6, 3)
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    wrapper = noisy(layer)
    weight = layer.weight
    wrapper(X)
    with pytest.raises(RuntimeError):
        wrapper(torch.ones(5))
    assert layer.weight is weight
    assert all(torch.equal(value, before[name]) for name, value in layer.state_dict().items())


def test_several_weights_draw_apart_under_one_key() -> None:
    wrapper = NoisyWeights(nn.Bilinear(4, 4, 16, bias=True), Dropout(0.5), ["weight", "bias"])
    drawn = wrapper.weights(key=9)
    assert torch.equal(drawn["bias"], masked(wrapper.module.bias, 0.5, Key(9).fold("bias")))
    assert torch.equal(drawn["weight"], masked(wrapper.module.weight, 0.5, Key(9).fold("weight")))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda wrapper: pickle.loads(pickle.dumps(wrapper))])
def test_a_copy_draws_alike_from_weights_of_its_own(copied: Any) -> None:
    wrapper = noisy(nn.Linear(6, 3))
    other = copied(wrapper)
    assert torch.equal(other(X, key=2), wrapper(X, key=2))
    with torch.no_grad():
        wrapper.module.weight.zero_()
    assert not torch.equal(other(X, key=2), wrapper(X, key=2))


def test_a_state_dict_holds_the_weights_and_fits_a_fresh_wrapper() -> None:
    wrapper, fresh = noisy(nn.Linear(6, 3)), noisy(nn.Linear(6, 3))
    assert list(wrapper.state_dict()) == ["module.weight", "module.bias"]
    fresh.load_state_dict(wrapper.state_dict())
    assert torch.equal(fresh(X, key=1), wrapper(X, key=1))


def test_monte_carlo_passes_draw_in_eval_and_end() -> None:
    wrapper = noisy(nn.Linear(6, 3)).eval()
    settled = wrapper(X)
    with dropkit.mode(wrapper, "mc"):
        assert torch.equal(wrapper(X, key=1), wrapper.train()(X, key=1))
        assert not torch.equal(wrapper(X), wrapper(X))
    assert torch.equal(wrapper.eval()(X), settled)
    wrapper.force("mc")
    assert wrapper.drawing
    assert not torch.equal(wrapper(X), settled)


def test_the_seed_and_the_stream_decide_the_mask() -> None:
    model = nn.Sequential(noisy(nn.Linear(6, 6)), noisy(nn.Linear(6, 6)))
    torch.manual_seed(4)
    first = model(X)
    torch.manual_seed(4)
    assert torch.equal(model(X), first)
    with under_key(model, 5):
        expected = model[0](X, key=Key(5).fold("0"))
        assert torch.equal(model(X), model[1](expected, key=Key(5).fold("1")))


def test_a_schedule_moves_the_rate_and_is_saved() -> None:
    model: Any = nn.Sequential(noisy(nn.Linear(6, 3), dropkit.linear_schedule(0.0, 1.0, 4)))
    Stepper(model, 4)
    assert torch.equal(model(X), model[0].module.bias.expand(4, 3))
    fresh: Any = nn.Sequential(noisy(nn.Linear(6, 3), dropkit.linear_schedule(0.0, 1.0, 4)))
    fresh.load_state_dict(model.state_dict())
    assert fresh[0].noise.p == 1.0


def test_a_graph_draws_the_eager_mask() -> None:
    wrapper = noisy(nn.Linear(6, 3))
    compiled: Any = torch.compile(wrapper, backend="aot_eager", fullgraph=True)
    assert torch.allclose(compiled(X, key=8), wrapper(X, key=8))
    assert not torch.equal(compiled(X), compiled(X))


def test_checkpointing_draws_the_same_mask_again() -> None:
    from torch.utils.checkpoint import checkpoint

    wrapper = noisy(nn.Linear(6, 64, bias=False))
    y = checkpoint(wrapper, X, use_reentrant=False)
    y.sum().backward()
    kept = wrapper.module.weight.grad
    torch.testing.assert_close(y, X @ (wrapper.module.weight * kept / X.sum(0)).T)


def test_other_attributes_are_those_of_the_module() -> None:
    wrapper = noisy(nn.Linear(6, 3))
    assert (wrapper.in_features, wrapper.weight) == (6, wrapper.module.weight)
    with pytest.raises(AttributeError, match="no_such"):
        wrapper.no_such  # noqa: B018  # that it raises is the test


def test_a_model_is_wrapped_and_unwrapped_without_a_trace() -> None:
    shared = nn.Linear(8, 8)
    model = nn.ModuleDict(
        {
            "conv": nn.Conv2d(4, 8, 3, stride=2, groups=4, padding=1, bias=False),
            "a": nn.Sequential(shared, nn.ReLU(), shared),
            "attention": nn.MultiheadAttention(8, 2),
            "head": nn.Linear(8, 2),
        }
    )
    before, parameters = repr(model), dict(model.named_parameters())
    assert wrap_weights(model, lambda layer: DropConnect(layer, 0.5), skip=["head"]) == 2
    assert model["a"][0] is model["a"][2]  # type: ignore[index]  # a Sequential
    assert type(model["head"]) is nn.Linear
    assert {id(part) for part in model.parameters()} == {id(part) for part in parameters.values()}
    assert unwrap_weights(model) == 2
    assert repr(model) == before
    assert all(parameter is parameters[name] for name, parameter in model.named_parameters())
    assert unwrap_weights(model) == 0


def test_a_wrapped_layer_keeps_its_mode() -> None:
    model: Any = nn.Sequential(nn.Linear(6, 3)).eval()
    wrap_weights(model, noisy)
    assert not model[0].drawing
    assert torch.equal(model(X), model[0].module(X))


def test_an_encoder_layer_computes_with_wrapped_weights() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True).eval()
    wrap_weights(layer, noisy)
    x = torch.randn(2, 5, 8)
    with torch.no_grad():
        settled = layer(x)
        with dropkit.mode(layer, "mc"):
            assert not torch.equal(layer(x), layer(x))
        assert torch.equal(layer(x), settled)


@pytest.mark.parametrize(
    "make",
    [
        lambda layer: LoRALinear(layer, 2),
        lambda layer: SparseVariationalDropout(layer, 10, start=9.0),
        lambda layer: DropConnect(layer, 0.5, inference="gaussian"),
        lambda layer: QuantNoise(layer, 0.5, bits=1, inference="quantized"),
        lambda layer: TargetedWeightDropout(layer, 0.5, prune_in_eval=True),
    ],
    ids=["lora", "variational", "gaussian", "quantized", "pruned"],
)
def test_what_acts_in_evaluation_does_so_in_an_encoder_layer(make: Any) -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True).eval()
    x = torch.randn(2, 5, 8)
    with torch.no_grad():
        before = layer(x)
        assert wrap_weights(layer, make) == 2
        for part in layer.modules():
            if isinstance(part, LoRALinear):
                nn.init.normal_(part.lora_B)
        assert not torch.allclose(layer(x), before)
        assert unwrap_weights(layer) == 2
        torch.testing.assert_close(layer(x), before)


def test_a_call_with_its_own_weights_is_a_plain_call() -> None:
    layer = nn.Linear(6, 3)
    assert torch.equal(call_with(layer, {"weight": layer.weight}, (X,)), layer(X))


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: NoisyWeights(nn.Linear(2, 2), Dropout(0.5), ["wieght"]), "did you mean 'weight'"),
        (lambda: NoisyWeights("linear", Dropout(0.5)), "module is one of nn.Module"),  # type: ignore[arg-type]  # a wrong kind is the point
        (lambda: noisy(noisy(nn.Linear(2, 2))), "module has no wrapper of its weights yet"),
        (lambda: wrap_weights(nn.Sequential(nn.ReLU()), noisy), "holds layers of the given kinds"),
        (lambda: wrap_weights(nn.Linear(2, 2), noisy), "holds layers of the given kinds"),
        (lambda: wrap_weights(nn.Sequential(nn.Linear(2, 2)), noisy, skip=["1"]), "skip must be one of"),
        (lambda: wrap_weights("model", noisy), "model must be a Module"),  # type: ignore[arg-type]  # a wrong kind is the point
    ],
)
def test_what_is_wrong_is_said(act: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        act()


def test_a_state_dict_of_a_plain_model_loads_before_wrapping_and_after_unwrapping() -> None:
    plain, model = nn.Sequential(nn.Linear(4, 4)), nn.Sequential(nn.Linear(4, 4))
    model.load_state_dict(plain.state_dict())
    wrap_weights(model, lambda layer: DropConnect(layer, 0.1))
    assert set(model.state_dict()) == {"0.module.weight", "0.module.bias"}
    unwrap_weights(model)
    assert set(model.state_dict()) == set(plain.state_dict())


MAKE: dict[str, Any] = {
    "ConcreteDropout": lambda kind: kind(nn.Linear(8, 8), rows=10),
    "SparseVariationalDropout": lambda kind: kind(nn.Linear(8, 8), rows=10),
    "WeightDrop": lambda kind: kind(nn.LSTM(8, 8), 0.1),
    "EmbeddingDropout": lambda kind: kind(nn.Embedding(8, 8), 0.1),
}
AROUND = [method for method in catalogue().values() if method.around]


@pytest.mark.parametrize("method", AROUND, ids=[method.name for method in AROUND])
def test_a_record_tells_under_which_name_its_layer_holds_the_module(method: Method) -> None:
    name = method.layers["torch"]
    layer = MAKE.get(name, lambda kind: kind(nn.Linear(8, 8)))(getattr(dropkit.torch, name))
    assert any(key.startswith(f"{method.around}.weight") for key in layer.state_dict())
    assert f"0.weight becomes 0.{method.around}.weight" in method.keys
    assert ("unwrap_weights" in method.keys) == isinstance(layer, Wrapper)


def test_every_method_around_a_module_says_so() -> None:
    kinds = {kind.__name__ for kind in vars(dropkit.torch).values() if _wraps(kind)}
    known = {method.layers["torch"] for method in catalogue().values() if method.around}
    assert {m.layers["torch"] for m in catalogue().values() if m.layers["torch"] in kinds} <= known


def _wraps(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Wrapper)
