from typing import Any

import numpy as np
import pytest
import torch

import dropkit
from dropkit import DropkitError
from dropkit.core.reference import draws
from dropkit.methods.modality_dropout import chosen, happening_rate, spared
from dropkit.testing import Declared, layer_subject, shapes_for
from dropkit.torch import ModalityDropout

GENERATOR = torch.Generator().manual_seed(0)
VIDEO, AUDIO, TEXT = (torch.randn(*shape, generator=GENERATOR) for shape in ((9, 3, 2), (9, 4), (9,)))
INPUTS = {"video": VIDEO, "audio": AUDIO, "text": TEXT}


def one_of_two(layer: ModalityDropout, x: torch.Tensor, key: Any) -> torch.Tensor:
    """The first of two modalities."""
    batch = x if x.dim() else x[None]
    y: torch.Tensor = layer([batch, torch.ones_like(batch)], key=key)[0]
    return y.reshape(x.shape)


SUBJECTS = [
    layer_subject(
        ModalityDropout,
        "one of two",
        one_of_two,
        shapes_for(dropkit.Pattern("b d -> b")),
        lambda rate, shape: Declared(happening_rate(rate, 2), shape, (1, 0)),
        waived={"mean": "nothing is rescaled", "edges": "at rate 1 one modality of each sample is left"},
    )
]


def fallen(key: int, rates: Any, count: int = 3) -> np.ndarray:
    coins = draws(key, (9, count)).below(rates)
    choice = chosen(draws(key, (9,)).second(), count)
    return np.asarray(spared(coins, choice, np.arange(count)))


@pytest.mark.parametrize(
    ("p", "rates"),
    [
        (0.7, 0.7),
        ({"text": 0.2, "video": 0.9, "audio": 0.5}, np.array([0.9, 0.5, 0.2])),
        (1.0, 1.0),
    ],
)
def test_what_falls_is_what_falls_on_numpy(p: Any, rates: Any) -> None:
    gone = fallen(5, rates)
    kept = ModalityDropout(p)(INPUTS, key=5)
    assert list(kept) == list(INPUTS)
    for i, (name, x) in enumerate(INPUTS.items()):
        expected = np.where(gone[:, i].reshape(-1, *[1] * (x.dim() - 1)), np.float32(0), x.numpy())
        assert np.array_equal(kept[name].numpy(), expected)
        assert not torch.equal(kept[name], x)


def test_a_sequence_drops_as_a_mapping_does_and_keeps_its_kind() -> None:
    by_name = ModalityDropout(0.6)(INPUTS, key=5)
    for kind in (list, tuple):
        y = ModalityDropout((0.6, 0.6, 0.6))(kind(INPUTS.values()), key=5)
        assert type(y) is kind
        assert all(torch.equal(one, other) for one, other in zip(y, by_name.values(), strict=True))


def test_no_sample_loses_everything() -> None:
    ones = [torch.ones(500, 1) for _ in range(3)]
    kept = torch.cat(ModalityDropout(1.0)(ones, key=1), 1)
    assert torch.equal(kept.sum(1), torch.ones(500))
    assert ModalityDropout(1.0)([VIDEO], key=1)[0].equal(VIDEO)


@pytest.mark.parametrize("rates", [0.7, 1.0, np.array([0.9, 0.5, 0.2])])
def test_the_plain_coins_may_take_all_of_a_sample(rates: Any) -> None:
    layer = ModalityDropout(rates if isinstance(rates, float) else tuple(rates.tolist()), spare=False)
    gone = draws(5, (9, 3)).below(rates)
    assert gone.all(1).any()
    kept = torch.cat(layer([torch.ones(9, 1) for _ in range(3)], key=5), 1)
    assert np.array_equal(kept.numpy(), np.where(gone, 0.0, 1.0))


def test_the_gradient_is_the_mask_and_infinities_are_replaced() -> None:
    x = torch.full((9, 4), float("inf"), requires_grad=True)
    y = ModalityDropout(0.7)([VIDEO, x], key=5)[1]
    (gradient,) = torch.autograd.grad(y.sum(), x)
    gone = torch.from_numpy(fallen(5, 0.7, 2)[:, 1])
    assert torch.equal(gradient, (~gone).float()[:, None].expand(9, 4))
    assert torch.equal(y[gone], torch.zeros_like(y[gone]))


def test_evaluation_returns_the_inputs_and_mc_draws() -> None:
    layer = ModalityDropout(0.7).eval()
    assert layer(INPUTS) is INPUTS
    with dropkit.mode(layer, "mc"):
        assert torch.equal(layer(INPUTS, key=5)["video"], layer.train()(INPUTS, key=5)["video"])
    assert ModalityDropout(0.0)(INPUTS) is INPUTS
    assert not ModalityDropout({"a": 0.0}).can_draw
    assert ModalityDropout((0.0, 0.5)).can_draw


def test_seeds_and_graphs_repeat_what_falls() -> None:
    layer = ModalityDropout(0.7)
    torch.manual_seed(0)
    first = layer(INPUTS)
    torch.manual_seed(0)
    assert torch.equal(first["audio"], layer(INPUTS)["audio"])

    def run(x: Any) -> Any:
        return layer(x, key=5)

    compiled: Any = torch.compile(run, backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(INPUTS)["audio"], layer(INPUTS, key=5)["audio"])


def test_each_modality_keeps_its_type() -> None:
    kept = ModalityDropout(0.5)([VIDEO.half(), AUDIO.double()], key=1)
    assert [x.dtype for x in kept] == [torch.float16, torch.float64]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ModalityDropout(1.5), r"p must be a number in \[0, 1\], got 1.5"),
        (lambda: ModalityDropout(None), r"p must be a number in \[0, 1\], got None"),  # type: ignore[arg-type]  # a wrong kind is the point
        (lambda: ModalityDropout((0.5, -1)), r"p\[1\] must be a number in"),
        (lambda: ModalityDropout({"a": 2.0}), r"p\['a'\] must be a number in"),
        (lambda: ModalityDropout(0.5, spare=1), "spare"),  # type: ignore[arg-type]  # a wrong kind is the point
        (lambda: ModalityDropout("0.5"), "p must be a tuple of numbers"),  # type: ignore[arg-type]  # a wrong kind is the point
        (lambda: ModalityDropout((0.5,))(INPUTS), "p has a rate for each modality and no other"),
        (lambda: ModalityDropout({"a": 0.5})(INPUTS), r"got \['a'\]; give \['audio', 'text', 'video'\]"),
        (lambda: ModalityDropout(0.5)([]), "inputs has a modality at least"),
        (lambda: ModalityDropout(0.5)([VIDEO, AUDIO[:2]]), r"inputs\[1\] begins with the batch"),
        (lambda: ModalityDropout(0.5)({"a": VIDEO.long()}), r"inputs\['a'\] has a real floating type"),
    ],
)
def test_what_does_not_fit_is_refused(make: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        make()
