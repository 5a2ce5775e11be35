import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

import dropkit
from dropkit.core.check import DropkitError
from dropkit.methods.token_dropout import protected
from dropkit.torch import EmbeddingDropout, Layer, TokenDropout

KEY = dropkit.Key(11).fold("layer", 2)


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


class TestTokenDropout:
    """Protected tokens pass unchanged and do not move the coins of the others."""

    IDS = torch.tensor([[101, 7, 8, 102, 0, 0], [101, 9, 7, 5, 3, 102]])

    @pytest.mark.parametrize("prefix", [0, 1, 9])
    @pytest.mark.parametrize("keep", [(), (101, 102)])
    @pytest.mark.parametrize("padded", [False, True])
    def test_equals_the_reference(self, prefix: int, keep: tuple[int, ...], padded: bool) -> None:
        x, padding = normal(2, 6, 3).requires_grad_(), (self.IDS == 0) if padded else None
        layer = TokenDropout(0.7, prefix, keep)
        numbers = None if padding is None else padding.numpy()
        spared = protected(self.IDS.numpy(), keep, prefix, numbers)[..., None]
        factor = np.where(spared, 1.0, dropkit.mask(KEY, (2, 6, 3), dropkit.Drop(0.7, "b t d -> b t")))
        y = layer(x, ids=self.IDS if keep else None, padding=padding, key=KEY)
        assert torch.equal(y, torch.from_numpy(factor) * x)
        (grad,) = torch.autograd.grad(y, x, torch.ones_like(y))
        assert torch.equal(grad, torch.from_numpy(factor))

    @pytest.mark.parametrize("prefix", [1, 3])
    def test_a_part_protects_what_the_whole_does(self, prefix: int) -> None:
        x, layer = normal(2, 6, 3), TokenDropout(0.7, prefix)
        whole = layer(x, key=KEY)
        for start in (1, 2, 4):
            part = layer(x[:, start:], key=KEY, window=dropkit.Window((0, start), (2, 6, 3)))
            assert torch.equal(part, whole[:, start:])

    def test_everything_but_the_protected_falls_at_rate_1(self) -> None:
        x = normal(2, 6, 3)
        y = TokenDropout(1.0, keep=(101,))(x, ids=self.IDS)
        assert torch.equal(y, torch.where(self.IDS[..., None] == 101, x, 0.0))

    @pytest.mark.parametrize(
        ("build", "call", "message"),
        [
            ({"keep": (1,)}, {}, "ids is given where keep names tokens"),
            ({"keep": (1,)}, {"ids": IDS[:1]}, r"ids has one mark a token, shape \(2, 6\)"),
            ({}, {"padding": IDS[:, :2] == 0}, r"padding has one mark a token"),
        ],
    )
    def test_wrong_calls_are_refused(self, build: Any, call: Any, message: str) -> None:
        with pytest.raises(DropkitError, match=message):
            TokenDropout(**build)(normal(2, 6, 3), **call)

    @pytest.mark.parametrize(
        ("x", "message"),
        [
            (torch.ones(2, 3), "pattern has 3 axes but the array has 2"),
            (torch.ones(2, 3, 4, 5), "pattern has 3 axes but the array has 4"),
            (torch.ones(2, 3, 4, dtype=torch.int64), "input has a real floating type"),
        ],
    )
    def test_protection_lets_no_wrong_input_pass(self, x: Tensor, message: str) -> None:
        with pytest.raises(RuntimeError, match=message):
            TokenDropout(0.5, prefix=1)(x)

    @pytest.mark.parametrize("build", [{"keep": "ab"}, {"keep": 5}, {"keep": (1.5,)}, {"prefix": -1}])
    def test_wrong_protection_is_refused_at_construction(self, build: Any) -> None:
        with pytest.raises(DropkitError, match=r"(keep|prefix).* must be a"):
            TokenDropout(**build)


class TestSelectedTokens:
    """What goes by numbers of tokens keeps these numbers for backward, which the caller has anyway."""

    IDS = torch.tensor([[1, 7, 8, 1, 0, 0], [1, 9, 7, 5, 3, 1]])

    @pytest.fixture(params=[{}, {"key": KEY}], ids=["seed", "key"])
    def source(self, request: pytest.FixtureRequest) -> Any:
        torch.manual_seed(0)
        return request.param

    @pytest.fixture(params=[0.6, dropkit.linear_schedule(0.6, 0.2, 4)], ids=["rate", "schedule"])
    def rate(self, request: pytest.FixtureRequest) -> Any:
        return request.param

    @pytest.fixture
    def call(self, layer: Layer, source: Any) -> Callable[[Tensor], Tensor]:
        if isinstance(layer, TokenDropout):
            return lambda x: layer(x, ids=self.IDS, padding=self.IDS == 0, **source)

        def look_up(x: Tensor) -> Tensor:
            y: Tensor = torch.func.functional_call(layer, {"embedding.weight": x}, (self.IDS,), source)
            return y

        return look_up

    @pytest.fixture(params=["token", "embedding"])
    def layer(self, request: pytest.FixtureRequest, rate: Any) -> Layer:
        return (
            TokenDropout(rate, 1, (8,))
            if request.param == "token"
            else EmbeddingDropout(nn.Embedding(10, 4), rate)
        )

    @pytest.fixture
    def x(self, layer: Layer) -> Tensor:
        return normal(*((2, 6, 4) if isinstance(layer, TokenDropout) else (10, 4))).requires_grad_()

    def test_backward_keeps_nothing_else(self, call: Any, x: Tensor) -> None:
        kept: list[Tensor] = []

        def keep(tensor: Tensor) -> Tensor:
            kept.append(tensor)
            return tensor

        with saved_tensors_hooks(keep, lambda tensor: tensor):
            call(x)
        assert {tuple(tensor.shape) for tensor in kept} == {tuple(self.IDS.shape)}
        assert {tensor.dtype for tensor in kept} <= {torch.int64, torch.bool}
        assert sum(torch.equal(tensor, self.IDS == 0) for tensor in kept) == (x.dim() == 3)

    @staticmethod
    def factors() -> int:
        """How many tensors of a factor's shape are alive."""
        gc.collect()
        shapes = {(2, 6, 1), (10, 1)}
        # No subclass: what a compiler left of other tests has sizes that cannot be hashed.
        tensors = [item for item in gc.get_objects() if type(item) is Tensor]
        return sum(tuple(tensor.shape) in shapes for tensor in tensors)

    def test_nothing_else_lives_on_behind_the_result(self, call: Any, x: Tensor) -> None:
        hidden = x + 0
        gone, before = weakref.ref(hidden), self.factors()
        result = call(hidden)
        del hidden
        assert self.factors() == before
        assert gone() is None
        assert result.grad_fn is not None

    def test_backward_has_the_mask_of_forward_though_the_schedule_steps(
        self, layer: Layer, call: Any, x: Tensor
    ) -> None:
        y = call(x)
        if layer.scheduled:
            layer.move_to(4)
        (grad,) = torch.autograd.grad(y, x, torch.ones_like(y))
        whole = grad if isinstance(layer, TokenDropout) else nn.functional.embedding(self.IDS, x)
        if isinstance(layer, TokenDropout):
            torch.testing.assert_close(y, grad * x)
            found = torch.tensor(sorted(set(grad.flatten().tolist())), dtype=x.dtype)
            torch.testing.assert_close(found, torch.tensor([0.0, 1.0, 2.5], dtype=x.dtype))
        else:
            weight = (y / whole)[..., 0]
            expected = torch.zeros(10, dtype=x.dtype).index_add(0, self.IDS.flatten(), weight.flatten())
            torch.testing.assert_close(grad, expected[:, None].expand(10, 4))

    @pytest.mark.parametrize("source", [{"key": KEY}])
    def test_derivatives_of_both_modes_and_orders(self, call: Any, x: Tensor, source: Any) -> None:
        torch.autograd.gradcheck(call, x, check_forward_ad=True)
        torch.autograd.gradgradcheck(lambda x: call(x * x), x)

    @pytest.mark.parametrize("kind", ["token", "embedding"])
    def test_a_change_of_the_numbers_before_backward_is_noticed(self, kind: str) -> None:
        ids = self.IDS.clone()
        if kind == "token":
            y = TokenDropout(0.6, keep=(8,))(normal(2, 6, 4).requires_grad_(), ids=ids)
        else:
            y = EmbeddingDropout(nn.Embedding(10, 4), 0.6)(ids)
        ids.zero_()
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            y.sum().backward()


@pytest.mark.parametrize("p", [0.1, 0.3])
def test_the_factor_of_a_half_type_is_not_rounded(p: float) -> None:
    x, ids = normal(2, 6, 4).to(torch.bfloat16), TestTokenDropout.IDS
    table = nn.Embedding(103, 4, _weight=normal(103, 4).to(torch.bfloat16))
    wide = nn.Embedding(103, 4, _weight=table.weight.detach().float())
    for narrow, wider in (
        (TokenDropout(p, 1)(x, key=KEY), TokenDropout(p, 1)(x.float(), key=KEY)),
        (EmbeddingDropout(table, p)(ids, key=KEY), EmbeddingDropout(wide, p)(ids, key=KEY)),
    ):
        assert torch.equal(narrow, wider.to(torch.bfloat16))


class TestEmbeddingDropout:
    """A word falls everywhere or nowhere; the table itself is not touched."""

    @pytest.mark.parametrize("scale", ["train", "eval", "none"])
    def test_kept_words_pass_and_do_not_move_the_coins_of_the_others(self, scale: Any) -> None:
        table, ids = nn.Embedding(20, 3), torch.randint(20, (5, 7))
        plain, layer = (
            EmbeddingDropout(table, 0.7, scale=scale),
            EmbeddingDropout(table, 0.7, (3, 5), scale=scale),
        )
        kept = ((ids == 3) | (ids == 5))[..., None]
        y = layer(ids, key=KEY)
        assert torch.equal(y, torch.where(kept, table(ids), plain(ids, key=KEY)))
        (grad,) = torch.autograd.grad(y.sum(), table.weight)
        counts = torch.bincount(ids.flatten(), minlength=20)[[3, 5], None]
        assert torch.equal(grad[[3, 5]], counts.expand(2, 3).float())
        assert torch.equal(layer.eval()(ids), torch.where(kept, table(ids), plain.eval()(ids)))

    def test_a_kept_word_stands_in_the_table(self) -> None:
        with pytest.raises(DropkitError, match="keep"):
            EmbeddingDropout(nn.Embedding(20, 3), 0.1, keep=(20,))

    def test_equals_the_reference(self) -> None:
        table, ids = nn.Embedding(20, 3), torch.randint(20, (5, 7))
        layer, before = EmbeddingDropout(table, 0.5), table.weight.clone()
        rows = torch.tensor(dropkit.mask(KEY, (20, 1), dropkit.Drop(0.5)), dtype=torch.float32)
        y = layer(ids, key=KEY)
        assert torch.equal(y, rows[ids] * table(ids))
        y.sum().backward()
        assert table.weight.grad is not None
        counts = torch.bincount(ids.flatten(), minlength=20)[:, None]
        assert torch.equal(table.weight.grad, (rows * counts).expand(20, 3))
        assert torch.equal(table.weight, before)

    @pytest.mark.parametrize("scale", ["train", "eval"])
    def test_evaluation_leaves_or_scales_the_words(self, scale: Any) -> None:
        table = nn.Embedding(20, 3)
        layer = EmbeddingDropout(table, 0.25, scale=scale).eval()
        expected = table(torch.arange(20)) * (0.75 if scale == "eval" else 1)
        assert torch.equal(layer(torch.arange(20)), expected)

    def test_something_else_than_a_table_is_refused(self) -> None:
        with pytest.raises(DropkitError, match="embedding must be a Embedding"):
            EmbeddingDropout(nn.Linear(3, 3))  # type: ignore[arg-type]  # the wrong type is the point


@pytest.mark.parametrize("ids", [torch.ones(2, 3), torch.tensor([[0, 10]]), torch.tensor([[-1, 0]])])
def test_numbers_of_no_word_are_refused(ids: torch.Tensor) -> None:
    with pytest.raises(DropkitError, match="ids are whole numbers from 0 to 9"):
        EmbeddingDropout(torch.nn.Embedding(10, 4), 0.5)(ids)
