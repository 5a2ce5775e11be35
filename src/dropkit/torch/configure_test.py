from types import SimpleNamespace

import pytest
from torch import nn

from dropkit.core.check import DropkitError
from dropkit.torch.configure import encoder_layers, given_rates, set_fields

FIELDS = {"attention": ("attention_dropout", "attn_pdrop"), "layer": ("layerdrop",)}


def test_a_rate_goes_into_every_field_that_is_there() -> None:
    config = SimpleNamespace(attn_pdrop=0.1, layerdrop=0.1, hidden=0.1)
    set_fields(config, {"attention": 0.3}, FIELDS)
    assert vars(config) == {"attn_pdrop": 0.3, "layerdrop": 0.1, "hidden": 0.1}


def test_nothing_is_written_where_one_rate_has_no_field() -> None:
    config = SimpleNamespace(attention_dropout=0.1)
    with pytest.raises(DropkitError, match="layer has a field for it, one of layerdrop"):
        set_fields(config, {"attention": 0.3, "layer": 0.3}, FIELDS)
    assert config.attention_dropout == 0.1


def test_a_rate_out_of_range_is_named() -> None:
    with pytest.raises(DropkitError, match="layer must be a number in"):
        given_rates({"attention": None, "layer": 2})


def test_layers_of_an_encoder_are_found_at_any_depth() -> None:
    layer = nn.TransformerEncoderLayer(4, 2, 8)
    assert encoder_layers(nn.Sequential(nn.Sequential(layer))) == [layer]
    with pytest.raises(DropkitError, match=r"target has an nn.TransformerEncoderLayer, got 'Linear'"):
        encoder_layers(nn.Linear(2, 2))
