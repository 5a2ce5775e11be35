import inspect
import math
import re
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor

import dropkit
from dropkit.core.check import RATE, DropkitError
from dropkit.torch import functional

NAMES = ("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout")
TWINS = [(getattr(functional, name), getattr(torch.nn.functional, name)) for name in NAMES]
X = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0))


@pytest.mark.filterwarnings("ignore:dropout[23]d. Received a:UserWarning")
@pytest.mark.parametrize(("ours", "theirs"), TWINS, ids=NAMES)
class TestTwins:
    """What code written for `torch.nn.functional` expects."""

    def test_positional_arguments_are_equal(self, ours: Any, theirs: Any) -> None:
        def positional(function: Any) -> list[tuple[str, Any]]:
            parameters = inspect.signature(function).parameters.values()
            return [(p.name, p.default) for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]

        assert positional(ours) == positional(theirs)

    def test_out_of_training_the_input_itself_comes_back(self, ours: Any, theirs: Any) -> None:
        assert ours(X, 0.5, False) is X
        integers = torch.ones(3, 4, 5, dtype=torch.int64)
        assert ours(integers, 0.5, False) is integers

    def test_the_number_in_a_tensor_is_a_rate_as_in_torch(self, ours: Any, theirs: Any) -> None:
        assert theirs(X, torch.tensor(0.5), True).shape == X.shape
        assert torch.equal(ours(X, torch.tensor(0.5), True, key=1), ours(X, 0.5, True, key=1))
        for wrong in (torch.tensor(1.5), torch.tensor([0.5])):
            with pytest.raises(DropkitError, match="p must be a number"):
                ours(X, wrong, True)

    def test_in_place_overwrites_the_input(self, ours: Any, theirs: Any) -> None:
        x = X.clone()
        assert ours(x, 0.5, True, True, key=1) is x
        assert torch.equal(x, ours(X, 0.5, True, key=1))
        assert not torch.equal(x, X)

    @pytest.mark.parametrize("p", RATE.bad(), ids=str)
    def test_a_wrong_rate_is_refused_in_either_mode(self, ours: Any, theirs: Any, p: Any) -> None:
        for training in (True, False):
            with pytest.raises(ValueError, match="p must be a number in"):
                ours(X, p, training)

    @pytest.mark.parametrize("shape", [(0,), (0, 3, 2), (3, 0, 2)])
    def test_an_empty_tensor_stays_empty(self, ours: Any, theirs: Any, shape: tuple[int, ...]) -> None:
        if len(shape) == 1 and ours is not functional.dropout and ours is not functional.alpha_dropout:
            pytest.skip("channels need two axes")
        assert ours(torch.ones(shape), 0.5, True).shape == shape


@pytest.mark.parametrize("name", ["dropout", "alpha_dropout"])
def test_a_scalar_has_one_coin(name: str) -> None:
    function = getattr(functional, name)
    kept, dropped = (float(function(torch.tensor(1.0), 0.5, True, key=key)) for key in (1, 5))
    noise = {"dropout": "bernoulli", "alpha_dropout": "alpha"}[name]
    scale, shift, fill = dropkit.Drop(0.5, noise=noise).noise.affine(0.5)
    eps = torch.finfo(torch.float32).eps
    assert kept == pytest.approx(scale + shift, rel=eps)
    assert dropped == pytest.approx(fill, rel=eps)


@pytest.mark.parametrize("name", ["dropout1d", "dropout2d", "dropout3d"])
@pytest.mark.parametrize("rank", range(7))
def test_odd_ranks_warn_and_fail_as_in_torch(name: str, rank: int) -> None:
    x = torch.ones((32, 16, 2, 2, 2, 2)[:rank])
    outcomes = [outcome(getattr(module, name), x) for module in (torch.nn.functional, functional)]
    assert outcomes[0] == outcomes[1]


def outcome(function: Any, x: Tensor) -> tuple[bool, list[str], list[bool]]:
    """Whether it fails, the telling part of each warning, and behind which axes the coins are shared."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            y = function(x)
        except RuntimeError:
            return True, [], []
    words = r"Received a \d-?D input|assuming that channel-wise 1D dropout behavior is desired"
    said = re.findall(words, " ".join(str(warning.message) for warning in caught))
    shared = [bool((y.flatten(axis) == y.flatten(axis)[..., :1]).all()) for axis in range(x.dim())]
    return False, said, shared


@pytest.mark.parametrize("rank", range(3))
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.int64])
def test_what_torch_refuses_is_refused_with_its_kind_of_error(rank: int, training: bool, dtype: Any) -> None:
    x = torch.ones((3, 2)[:rank], dtype=dtype)
    for ours, theirs in TWINS:
        assert failure(ours, x, training) == failure(theirs, x, training)


def failure(function: Any, x: Tensor, training: bool) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            function(x, 0.5, training)
        except RuntimeError:
            return True
    return False


@pytest.mark.filterwarnings("ignore:dropout[23]d. Received a:UserWarning")
@pytest.mark.parametrize(
    "name", ["dropout", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout"]
)
@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0, 2)])
def test_nothing_is_dropped_from_nothing_whatever_its_rank(name: str, shape: tuple[int, ...]) -> None:
    x = torch.ones(shape)
    assert getattr(functional, name)(x, 0.5, True) is x
    assert getattr(torch.nn.functional, name)(x, 0.5, True).shape == shape


def test_a_type_of_8_bits_is_refused_by_name() -> None:
    with pytest.raises(DropkitError, match=r"floating type of 16 bits or more, got torch.float8_e4m3fn"):
        functional.dropout(torch.ones(4).to(torch.float8_e4m3fn))


@pytest.mark.parametrize("rank", [1, 4, 5])
def test_dropout1d_says_which_ranks_it_takes(rank: int) -> None:
    with pytest.raises(
        RuntimeError, match=f"Expected 2D or 3D input, but received a {rank}D input"
    ) as caught:
        functional.dropout1d(torch.ones((2,) * rank))
    assert isinstance(caught.value, DropkitError)


@pytest.mark.parametrize(
    ("function", "shape", "coins"),
    [
        (functional.dropout1d, (40, 3), (40, 1)),
        (functional.dropout1d, (10, 8, 3), (10, 8, 1)),
        (functional.dropout2d, (10, 8, 3, 2), (10, 8, 1, 1)),
        (functional.dropout3d, (40, 3, 2, 2), (40, 1, 1, 1)),
        (functional.dropout3d, (10, 8, 3, 2, 2), (10, 8, 1, 1, 1)),
    ],
)
def test_channels_go_whole_and_each_has_its_coin(function: Any, shape: Any, coins: Any) -> None:
    y = function(torch.ones(shape), 0.5, key=6)
    flat = dropkit.mask(6, (math.prod(coins),), dropkit.Drop(0.5))
    assert torch.equal(y, torch.tensor(flat, dtype=torch.float32).reshape(coins).expand(shape))


def test_a_batch_of_one_has_the_mask_of_its_sample() -> None:
    sample = torch.rand(50, 2)
    single, batch = functional.dropout1d(sample, key=1), functional.dropout1d(sample[None], key=1)
    assert torch.equal(single, batch[0])


@pytest.mark.parametrize("mode", ["train", "mc"])
def test_drop_draws(mode: Any) -> None:
    drop = dropkit.Drop(0.5, "b t d -> b t")
    expected = torch.tensor(dropkit.mask(4, (3, 4, 5), drop), dtype=torch.float32) * X
    assert torch.equal(functional.drop(X, drop, mode=mode, key=4), expected)
    assert torch.equal(dropkit.drop(X, 0.5, "b t d -> b t", mode=mode, key=4), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("filled", [False, True])
@pytest.mark.parametrize("rate", [0.1, dropkit.PerAxis((0.1, 0.2, 0.3, 0.4), "c")], ids=str)
def test_the_eval_map_equals_the_reference(dtype: torch.dtype, filled: bool, rate: Any) -> None:
    x, fill = X.to(dtype), X.flip(0).to(dtype) if filled else None
    drop = dropkit.Drop(rate, "b c d -> b c", scale="eval")
    numbers = None if fill is None else fill.numpy()
    expected = torch.from_numpy(dropkit.core.reference.apply(x.numpy(), drop, mode="eval", fill=numbers))
    assert torch.equal(functional.drop(x, drop, mode="eval", fill=fill), expected)
    y = x.clone()
    assert functional.drop(y, drop, mode="eval", fill=fill, inplace=True) is y
    assert torch.equal(y, expected)


@pytest.mark.parametrize("scale", ["train", "none"])
def test_the_eval_map_is_the_input_itself(scale: Any) -> None:
    assert functional.drop(X, dropkit.Drop(0.5, scale=scale), mode="eval") is X


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64], ids=str)
def test_other_types_are_refused(dtype: torch.dtype) -> None:
    x = torch.ones(3).to(dtype)
    with pytest.raises(DropkitError, match=f"input has a real floating type of .*, got {dtype}"):
        functional.dropout(x)
    with pytest.raises(DropkitError, match="input has a real floating type"):
        functional.drop(x, dropkit.Drop(0.5, scale="eval"), mode="eval")


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
@pytest.mark.parametrize("kind", ["sparse", "nested", "jagged"])
def test_other_layouts_are_refused(kind: str) -> None:
    parts = [torch.ones(2, 3), torch.ones(4, 3)]
    x = {
        "sparse": lambda: torch.eye(3).to_sparse(),
        "nested": lambda: torch.nested.nested_tensor(parts),
        "jagged": lambda: torch.nested.nested_tensor(parts, layout=torch.jagged),
    }[kind]()
    with pytest.raises(DropkitError, match="input is a dense tensor"):
        functional.dropout(x)


@pytest.mark.parametrize("x", ["text", X.numpy(), None, [1.0]])
def test_what_is_no_tensor_is_refused(x: Any) -> None:
    with pytest.raises(DropkitError, match="input is a torch tensor"):
        functional.dropout(x)


@pytest.mark.parametrize(
    ("drop", "fill", "message"),
    [
        (dropkit.Drop(0.5), torch.ones(3), r"fill broadcasts to input of shape \(3, 4, 5\)"),
        (dropkit.Drop(0.5), torch.ones(2, 3, 4, 5), "fill broadcasts to input"),
        (dropkit.Drop(0.5, noise="alpha"), X, "fill goes with noise 'bernoulli'"),
        (dropkit.Drop(dropkit.linear_schedule(0, 1, 9)), None, "rate is a number where it is applied"),
        (dropkit.Drop(0.5, "a b -> a"), None, "has 2 axes but the array has 3"),
    ],
)
def test_what_does_not_fit_is_refused(drop: dropkit.Drop, fill: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        functional.drop(X, drop, fill=fill)


class TestShapesOfKnownIssues:
    """Shapes and orders of memory at which torch's own dropout went wrong, by number of its issue."""

    @staticmethod
    def fraction(x: Tensor) -> None:
        y = functional.dropout(x, 0.5, key=8)
        expected = torch.tensor(dropkit.mask(8, tuple(x.shape), dropkit.Drop(0.5)), dtype=x.dtype)
        assert torch.equal(y, expected * x)

    def test_198333_a_transpose_made_real(self) -> None:
        self.fraction(torch.ones(4, 64, 16).transpose(1, 2).contiguous())

    def test_174078_a_transpose_of_contiguous_memory(self) -> None:
        self.fraction(torch.ones(64, 32).t())

    def test_47176_channels_last_with_gaps(self) -> None:
        gaps = torch.empty(2, 3, 3, 6).to(memory_format=torch.channels_last)[..., ::2]
        x = gaps.copy_(torch.ones(2, 3, 3, 3))
        self.fraction(x)
        assert torch.equal(functional.dropout(x, 1e-12, key=1), x)
