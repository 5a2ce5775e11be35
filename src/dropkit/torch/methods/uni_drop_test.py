import copy
import pickle
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import dropkit
from dropkit import DropkitError, Key
from dropkit.core.reference import draws
from dropkit.methods.uni_drop import dropped_words
from dropkit.testing import Declared, Shapes, layer_subject
from dropkit.torch import DataDropout, uni_drop
from dropkit.torch.methods.uni_drop import SkippedLayer

X = torch.linspace(1, 2, 3 * 7 * 4, dtype=torch.float64).reshape(3, 7, 4)


def declared(rate: float, shape: tuple[int, ...]) -> Declared:
    return Declared(0.5 * rate, shape, (1, max(8, shape[1]), 0))


SUBJECTS = [
    layer_subject(
        lambda rate: DataDropout(rate, keep=0.5),
        "data dropout",
        shapes=Shapes((60, 10, 2), ((66, 10, 2),)),
        declare=declared,
        waived={
            "mean": "Wu et al. 2021: words are removed, and what is left is not scaled",
            "edges": "at rate 1 half of the texts stay whole",
        },
    )
]


def encoder(depth: int = 3) -> nn.TransformerEncoder:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    model = nn.TransformerEncoder(layer, depth)
    for weight in model.parameters():
        nn.init.normal_(weight, std=0.5)  # its layers begin as copies
    return model


def law(p: float, keep: float, key: int) -> torch.Tensor:
    words = draws(Key(key).fold("words"), (3, 7)).u
    sequences = draws(Key(key).fold("sequences"), (3, 1)).u
    return torch.from_numpy(dropped_words(words, sequences, p, keep, np))


@pytest.mark.parametrize(
    ("p", "keep"), [(0.0, 0.5), (0.4, 0.5), (1.0, 0.5), (0.5, 0.0), (1.0, 0.0), (1.0, 1.0)]
)
def test_torch_drops_the_words_of_the_law(p: float, keep: float) -> None:
    y = DataDropout(p, keep)(X, key=4)
    assert torch.equal(y, torch.where(law(p, keep, 4)[..., None], 0.0, X))


def test_protected_words_never_fall() -> None:
    protected = torch.zeros(3, 7, dtype=torch.bool)
    protected[:, 5:] = True
    y = DataDropout(1.0, 0.0, prefix=1)(X, protected=protected)
    assert torch.equal((y != 0).all(-1), protected | (torch.arange(7) == 0))


def test_evaluation_returns_the_input_and_mc_drops() -> None:
    layer = DataDropout(0.5).eval()
    assert layer(X) is X
    with dropkit.mode(layer, "mc"):
        assert torch.equal(layer(X, key=3), DataDropout(0.5)(X, key=3))


def test_gradient_is_1_where_a_word_stays() -> None:
    x = X.clone().requires_grad_()
    DataDropout(0.6, 0.2)(x, key=4).sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad[..., 0] == 0, law(0.6, 0.2, 4))


def test_the_rates_of_an_encoder_are_set_and_the_others_left() -> None:
    model = encoder()
    assert uni_drop(model, attention=0.1, activation=0.2, layer=0.3) is model
    for each in model.layers:
        assert isinstance(each, SkippedLayer)
        assert each.p == 0.3
        assert isinstance(each.layer, nn.TransformerEncoderLayer)
        assert each.layer.self_attn.dropout == 0.1
        assert [each.layer.dropout.p, each.layer.dropout1.p, each.layer.dropout2.p] == [0.2, 0.0, 0.0]
    uni_drop(model, layer=0.4)
    assert [each.p for each in model.layers] == [0.4] * 3
    assert not any(isinstance(each.layer, SkippedLayer) for each in model.layers)


def test_each_layer_is_skipped_by_a_coin_of_its_own() -> None:
    model, x = uni_drop(encoder(), layer=0.5), torch.randn(2, 5, 8)
    parts = [each.layer for each in model.layers]
    outputs = []
    for chosen in range(8):
        y = x
        for i, part in enumerate(parts):
            y = part(y) if chosen >> i & 1 else y
        outputs.append(y)
    seen = set()
    for _ in range(200):
        y = model(x)
        seen.add(next(i for i, each in enumerate(outputs) if torch.allclose(y, each, atol=1e-5)))
    # One of 8 outcomes is missing after 200 draws with probability 2e-11.
    assert seen == set(range(8))


def test_a_skipped_layer_is_not_computed_and_infinities_pass() -> None:
    class Never(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise AssertionError

    x = torch.full((2, 3), torch.inf)
    assert SkippedLayer(Never(), 1.0)(x) is x


def test_a_skipped_layer_has_gradients_of_0() -> None:
    """Parallel training waits for a gradient of every parameter."""
    skipped, x = SkippedLayer(nn.Linear(3, 3), 1.0), torch.ones(2, 3)
    skipped(x).sum().backward()
    assert [float(each.grad.abs().sum()) for each in skipped.parameters() if each.grad is not None] == [0, 0]


def test_evaluation_runs_every_layer_also_by_the_fast_path() -> None:
    plain, x = encoder().eval(), torch.randn(2, 5, 8)
    model = uni_drop(copy.deepcopy(plain), layer=0.9).eval()
    padding = torch.arange(5).expand(2, 5) >= torch.tensor([[5], [3]])
    assert torch.allclose(model(x), plain(x), atol=1e-6)
    with torch.no_grad():
        assert torch.allclose(model(x), plain(x), atol=1e-6)
    left = uni_drop(encoder(), layer=0.9).eval()
    assert torch.allclose(left(x, src_key_padding_mask=padding)[0], model(x)[0], atol=1e-6)
    with dropkit.mode(model, "mc"):
        assert len({model(x).sum().item() for _ in range(40)}) > 1


def test_copies_pickles_and_states_keep_the_weights() -> None:
    model = uni_drop(encoder(1), layer=0.5)
    assert {name.replace(".layer.", ".") for name in model.state_dict()} == set(encoder(1).state_dict())
    x = torch.randn(2, 5, 8)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(other.eval()(x), model.eval()(x))


def test_an_unknown_attribute_is_missing_as_ever() -> None:
    with pytest.raises(AttributeError, match="nothing"):
        _ = SkippedLayer(nn.Identity(), 0.5).nothing


def test_a_configuration_of_transformers_takes_the_rates() -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is an optional package")
    config = uni_drop(transformers.BartConfig(), attention=0.1, activation=0.2, output=0.3, layer=0.4)
    assert (config.attention_dropout, config.activation_dropout, config.classifier_dropout) == (0.1, 0.2, 0.3)
    assert config.encoder_layerdrop == config.decoder_layerdrop == 0.4
    with pytest.raises(DropkitError, match="layer has a field for it, one of encoder_layerdrop"):
        uni_drop(transformers.BertConfig(), layer=0.1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: DataDropout(1.1), "p must be a number in"),
        (lambda: DataDropout(0.1, keep=-0.1), "keep must be a number in"),
        (lambda: DataDropout(0.1, prefix=-1), "prefix must be a whole number"),
        (lambda: DataDropout(0.1)(torch.ones(2, 3)), "input has axes"),
        (lambda: uni_drop(encoder(), layer=2), "layer must be a number in"),
        (lambda: uni_drop(encoder(), output=0.1), "output goes with a configuration"),
        (lambda: uni_drop(nn.Linear(2, 2), attention=0.1), "target has an nn.TransformerEncoderLayer"),
        (
            lambda: uni_drop(nn.TransformerEncoderLayer(8, 2, 16), layer=0.1),
            "layer goes with an nn.TransformerEncoder",
        ),
        (lambda: uni_drop(SimpleNamespace(), activation=0.1), "activation has a field for it"),
    ],
)
def test_what_is_wrong_is_said(call: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        call()
