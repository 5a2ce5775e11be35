import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import dropkit
from dropkit.core import reference
from dropkit.core.check import RATE, DropkitError
from dropkit.methods import drop_block, drop_path, locked_dropout
from dropkit.torch import (
    AlphaDropout,
    DropBlock2d,
    DropBlock3d,
    Dropout,
    Dropout1d,
    Dropout2d,
    Dropout3d,
    DropPath,
    FeatureAlphaDropout,
    GaussianDropout,
    HeadDropout,
    InputDropout,
    Layer,
    LockedDropout,
    SpatialDropout,
    TokenDropout,
    UniformDropout,
    Zoneout,
    layers,
)

TWINS = [Dropout, Dropout1d, Dropout2d, Dropout3d, AlphaDropout, FeatureAlphaDropout]
KEY = dropkit.Key(11).fold("layer", 2)


def pattern(text: str, noise: str = "bernoulli", scale: Any = "train") -> dropkit.Drop:
    return dropkit.Drop(0.3, text, noise, scale)


NAMED: list[tuple[Layer, tuple[int, ...], dropkit.Drop]] = [
    (Dropout(0.3), (3, 4, 5), pattern("...")),
    (Dropout(0.3, scale="eval"), (3, 4), pattern("...", scale="eval")),
    (Dropout1d(0.3), (3, 4, 5), pattern("n c l -> n c")),
    (Dropout1d(0.3), (4, 5), pattern("c l -> c")),
    (Dropout2d(0.3), (3, 4, 5, 2), pattern("n c h w -> n c")),
    (Dropout3d(0.3), (2, 3, 2, 2, 2), pattern("n c d h w -> n c")),
    (Dropout3d(0.3), (3, 2, 2, 2), pattern("c d h w -> c")),
    (AlphaDropout(0.3), (3, 4, 5), pattern("...", "alpha")),
    (FeatureAlphaDropout(0.3), (3, 4, 5), pattern("n c l -> n c", "alpha")),
    (GaussianDropout(0.3), (3, 4, 5), pattern("...", "gaussian")),
    (UniformDropout(0.3), (3, 4, 5), pattern("...", "uniform")),
    (SpatialDropout(0.3), (3, 4, 5), pattern("n c l -> n c")),
    (SpatialDropout(0.3, channels_last=True), (3, 5, 2, 4), pattern("n h w c -> n c")),
    (DropPath(0.3), (8, 3, 2), pattern("b t d -> b")),
    (DropPath(0.3, per="batch"), (8, 3), pattern("... ->")),
    (DropPath(0.3, scale_by_keep=False), (8, 3), pattern("b d -> b", scale="none")),
    (LockedDropout(0.3), (3, 4, 5), pattern("b t d -> b d")),
    (LockedDropout(0.3, batch_first=False), (4, 3, 5), pattern("t b d -> b d")),
    (HeadDropout(0.3), (2, 8, 3, 3), pattern("b h q k -> b h")),
    (InputDropout(0.3), (3, 4), pattern("...")),
    (TokenDropout(0.3), (3, 4, 5), pattern("b t d -> b t")),
    (DropBlock2d(0.3, 3), (2, 3, 5, 7), dropkit.Drop(0.3, dropkit.Blocks(3))),
    (DropBlock2d(0.3, (2, 5)), (2, 2, 3, 4), dropkit.Drop(0.3, dropkit.Blocks((2, 5)))),
    (DropBlock2d(0.3, 9), (2, 2, 3, 4), dropkit.Drop(0.3, dropkit.Blocks(9))),
    (
        DropBlock2d(0.3, 2, couple_channels=True),
        (2, 3, 5, 4),
        dropkit.Drop(0.3, dropkit.Blocks(2, pattern="b c h w -> b h w")),
    ),
    (DropBlock3d(0.3, 2), (2, 2, 3, 4, 5), dropkit.Drop(0.3, dropkit.Blocks(2, "d h w"))),
    (DropBlock3d(0.3, (5, 1, 3)), (1, 2, 3, 2, 4), dropkit.Drop(0.3, dropkit.Blocks((5, 1, 3), "d h w"))),
    (
        DropBlock3d(0.3, 2, couple_channels=True),
        (2, 3, 2, 3, 4),
        dropkit.Drop(0.3, dropkit.Blocks(2, "d h w", "b c d h w -> b d h w")),
    ),
]


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("layer", "shape", "drop"), NAMED, ids=lambda part: str(part)[:40])
class TestNamedLayers:
    """Every layer is the description that its name promises."""

    def test_the_mask_is_that_of_the_reference(
        self, layer: Layer, shape: tuple[int, ...], drop: dropkit.Drop
    ) -> None:
        x = normal(*shape)
        expected = torch.from_numpy(reference.apply(x.numpy(), drop, KEY))
        # Continuous noises go through sqrt, log and cos of another library: equal to an ulp or so of each.
        ulps = 0 if drop.noise.name in ("bernoulli", "alpha") else 64
        rtol = ulps * torch.finfo(x.dtype).eps
        torch.testing.assert_close(layer(x, key=KEY), expected, rtol=rtol, atol=rtol)

    def test_its_description_replays_the_mask(
        self, layer: Layer, shape: tuple[int, ...], drop: dropkit.Drop
    ) -> None:
        replayed = dropkit.mask(KEY, shape, layer.description)
        np.testing.assert_array_equal(replayed, dropkit.mask(KEY, shape, drop))

    def test_the_gradient_is_right(self, layer: Layer, shape: tuple[int, ...], drop: dropkit.Drop) -> None:
        torch.autograd.gradcheck(lambda x: layer(x, key=KEY), normal(*shape).requires_grad_(), fast_mode=True)

    def test_evaluation_is_the_eval_map(
        self, layer: Layer, shape: tuple[int, ...], drop: dropkit.Drop
    ) -> None:
        x = normal(*shape)
        y = layer.eval()(x)
        layer.train()
        assert torch.equal(y, 0.7 * x) if drop.scale == "eval" else y is x


@pytest.mark.parametrize("twin", TWINS)
def test_the_twins_pass_for_the_classes_of_torch(twin: Any) -> None:
    theirs = getattr(nn, twin.__name__)
    layer = twin(0.3, True)
    assert isinstance(layer, theirs)
    assert isinstance(layer, Layer)
    assert (layer.p, layer.inplace, layer.training) == (0.3, True, True)
    assert repr(layer) == repr(theirs(0.3, True))
    parameters = list(inspect.signature(theirs).parameters.values())
    ours = list(inspect.signature(twin).parameters.values())[: len(parameters)]
    assert [(p.name, p.default) for p in ours] == [(p.name, p.default) for p in parameters]


INPLACE: list[tuple[Callable[..., Layer], tuple[int, ...]]] = [
    (cls, shape)
    for cls, shape in (
        (Dropout, (4, 5)),
        (Dropout1d, (4, 5, 2)),
        (Dropout2d, (4, 5, 2, 2)),
        (Dropout3d, (4, 5, 2, 2, 2)),
        (AlphaDropout, (4, 5)),
        (FeatureAlphaDropout, (4, 5, 2)),
        (GaussianDropout, (4, 5)),
        (UniformDropout, (4, 5)),
        (SpatialDropout, (4, 5, 2)),
        (DropPath, (9, 5)),
        (LockedDropout, (4, 5, 2)),
        (HeadDropout, (4, 5, 2)),
        (InputDropout, (4, 5)),
        (DropBlock2d, (4, 5, 6, 6)),
        (DropBlock3d, (4, 5, 6, 6, 6)),
    )
]


@pytest.mark.parametrize(("cls", "shape"), INPLACE)
def test_inplace_is_honoured_wherever_it_is_accepted(
    cls: Callable[..., Layer], shape: tuple[int, ...]
) -> None:
    x = normal(*shape)
    expected = cls(0.5)(x.clone(), key=KEY)
    assert not torch.equal(expected, x)
    assert cls(0.5, inplace=True)(x, key=KEY) is x
    assert torch.equal(x, expected)


def test_inplace_belongs_to_every_layer_that_names_it() -> None:
    public = {getattr(layers, name) for name in layers.__all__}
    accepting = {cls for cls in public if "inplace" in inspect.signature(cls).parameters}
    assert accepting == {cls for cls, _ in INPLACE} | {Zoneout}


@pytest.mark.parametrize("cls", sorted({type(layer) for layer, _, _ in NAMED} | {Zoneout}, key=str))
@pytest.mark.parametrize("rate", RATE.bad(), ids=str)
def test_a_wrong_rate_is_refused_at_construction(cls: Any, rate: Any) -> None:
    with pytest.raises(DropkitError, match="p must be a number in"):
        cls(rate)


class TestBlocks:
    """Blocks of every size on maps of every shape: what is kept is scaled, and nothing is NaN."""

    @pytest.mark.parametrize("shape", [(14, 14), (3, 9), (9, 3), (1, 4), (2, 3, 5), (4, 1, 2)], ids=str)
    @pytest.mark.parametrize("side", [1, 2, 4, 5, 14, 15])
    def test_what_is_kept_grows_by_the_rate_forward_and_backward(
        self, shape: tuple[int, ...], side: int
    ) -> None:
        layer = (DropBlock2d if len(shape) == 2 else DropBlock3d)(0.25, side)
        x = torch.ones(3, 2, *shape).requires_grad_()
        y = layer(x, key=KEY)
        (through,) = torch.autograd.grad(y.sum(), x)
        assert set(y.flatten().tolist()) <= {0.0, torch.tensor(1 / 0.75).item()}
        assert torch.equal(through, y)
        assert layer.eval()(x) is x

    @pytest.mark.parametrize("rate", [0.0, 1.0])
    def test_a_block_larger_than_the_map_is_finite_at_both_ends(self, rate: float) -> None:
        assert torch.equal(DropBlock2d(rate, 9)(torch.ones(2, 1, 3, 4)), torch.full((2, 1, 3, 4), 1 - rate))
        assert torch.equal(
            DropBlock3d(rate, 9)(torch.ones(1, 1, 3, 4, 2)), torch.full((1, 1, 3, 4, 2), 1 - rate)
        )

    @pytest.mark.parametrize("shape", [(0, 2, 3, 3), (2, 0, 3, 3), (2, 1, 0, 3), (2, 1, 3, 0)], ids=str)
    def test_an_empty_map_passes(self, shape: tuple[int, ...]) -> None:
        assert DropBlock2d(0.5, 2)(torch.ones(shape)).shape == shape
        assert DropBlock3d(0.5, 2)(torch.ones(*shape, 2)).shape == (*shape, 2)

    def test_the_height_is_not_bounded_by_the_width(self) -> None:
        """Blocks begin anywhere along the long side, also where the short one has ended."""
        for shape in ((40, 4), (4, 40)):
            gone = DropBlock2d(0.5, 4)(torch.ones(64, 1, *shape), key=KEY) == 0
            assert gone.any(0).all()
            assert not gone.all(0).any()


def test_a_dropped_branch_leaves_its_mean() -> None:
    y = DropPath(0.25)(torch.ones(512, 1), key=KEY)
    assert set(y.flatten().tolist()) == {0.0, torch.tensor(1 / 0.75).item()}
    x = torch.ones(4, 1)
    assert DropPath(0.25).eval()(x) is x


class TestZoneout:
    """The previous state fills the gaps."""

    @pytest.mark.parametrize("mode", ["train", "eval"])
    @pytest.mark.parametrize("inplace", [False, True])
    def test_equals_the_reference(self, mode: Any, inplace: bool) -> None:
        new, old = normal(4, 5), normal(5, 4).T
        drop = dropkit.Drop(0.3, scale="eval")
        expected = reference.apply(new.numpy(), drop, KEY, mode, fill=old.numpy())
        y = Zoneout(0.3, inplace).train(mode == "train")(new, old, key=KEY)
        assert torch.equal(y, torch.from_numpy(expected))
        assert (y is new) == inplace

    @pytest.mark.parametrize("training", [False, True])
    def test_both_states_have_their_gradient(self, training: bool) -> None:
        layer, states = Zoneout(0.3).train(training), (normal(4, 5).requires_grad_(), normal(4, 5) * 2)
        states[1].requires_grad_()
        torch.autograd.gradcheck(lambda new, old: layer(new, old, key=KEY), states)
        torch.autograd.gradgradcheck(lambda new, old: layer(new * new, old * new, key=KEY), states)

    @pytest.mark.parametrize("training", [False, True])
    def test_states_of_two_shapes_are_refused(self, training: bool) -> None:
        with pytest.raises(DropkitError, match=r"previous has the shape of new, \(4, 5\)"):
            Zoneout(0.3).train(training)(normal(4, 5), normal(5))


def test_a_rate_in_a_tensor_is_taken_as_by_torch() -> None:
    assert Dropout(torch.tensor(0.25)).p == nn.Dropout(torch.tensor(0.25)).p == 0.25  # type: ignore[arg-type]  # the point


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: DropPath(0.1, "batch"), "inplace must be a bool, got 'batch'"),  # type: ignore[arg-type]  # the point
        (lambda: Dropout(torch.tensor([0.1, 0.2])), "p must be a number in"),
        (lambda: Dropout(0.1)(torch.ones(3), window=3), "window must be a Window, got 3"),
        (lambda: Dropout(0.1)(torch.ones(3), generator=3), "generator must be a Generator"),
        (lambda: Dropout(0.1)(torch.ones(3), key="x"), "key must be an int or a dropkit.Key"),
        (lambda: Zoneout(0.1)(torch.ones(3), None), "previous must be a Tensor"),
        (lambda: TokenDropout()(torch.ones(2, 3, 4), padding=3), "padding must be a Tensor"),
        (
            lambda: TokenDropout()(torch.ones(2, 3, 4), padding=torch.ones(2, 3)),
            "padding is true where a token is padding, got torch.float32",
        ),
        (lambda: DropBlock2d(0.1, 0), "block_size must be a whole number of at least 1"),
        (lambda: DropBlock2d(0.1, (3, 3, 3)), "block_size has one side for each axis"),  # type: ignore[arg-type]  # the point
        (lambda: DropBlock3d(0.1, (3, 3)), "block_size has one side for each axis"),  # type: ignore[arg-type]  # the point
        (lambda: DropBlock3d(0.1)(torch.ones(2, 3, 3, 3)), "has 5 axes but the array has 4"),
        (lambda: DropPath(0.1, per="row"), "per must be one of"),  # type: ignore[arg-type]  # the point
        (lambda: Dropout(0.1, scale="test"), "scale must be one of"),  # type: ignore[arg-type]  # the point
        (lambda: Dropout(dropkit.Learned(0.1)), "rate is not learned by this layer"),
        (lambda: dropkit.torch.Drop(0.1, "b c -> d"), "no axis 'd' on the left"),
        (lambda: dropkit.torch.Drop(0.1, noise="gauss"), "noise must be one of.*did you mean 'gaussian'"),
        (lambda: DropBlock2d(0.1)(torch.ones(2, 3, 3)), "has 4 axes but the array has 3"),
        (lambda: LockedDropout(0.1)(torch.ones(2, 3)), "has 3 axes but the array has 2"),
        (lambda: HeadDropout(0.1)(torch.ones(2)), "axes but the array has 1"),
        (lambda: FeatureAlphaDropout(0.1)(torch.ones(2)), "has at least 2 axes"),
        (lambda: Dropout(dropkit.PerAxis((0.1,), "c")), "take a pattern|names? .*axis|axis with coins"),
    ],
)
def test_bad_input_is_refused_by_name_and_moves_no_generator(build: Callable[[], Any], message: str) -> None:
    before = torch.get_rng_state()
    with pytest.raises(DropkitError, match=message):
        build()
    assert torch.equal(torch.get_rng_state(), before)


def test_the_layers_and_the_methods_describe_the_same() -> None:
    assert DropBlock2d(0.2, 3).description == drop_block.drop_block(0.2, 3)
    assert DropPath(0.2, per="batch").description == drop_path.drop_path(0.2, "batch")
    assert LockedDropout(0.2).description == locked_dropout.locked_dropout(0.2)
