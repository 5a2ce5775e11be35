import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from dropkit.core.check import DropkitError
from dropkit.methods import catalogue
from dropkit.surgery.sites import Site, find_sites, fits, put, take_out
from dropkit.torch import Dropout, DropPath


class Residual(nn.Module):
    """x + f(x), written in one of the ways in which people write it."""

    def __init__(self, how: str, shortcut: nn.Module | None = None) -> None:
        super().__init__()
        self.inner, self.act, self.outer = nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 4)
        self.shortcut, self.how = shortcut or nn.Identity(), how

    def forward(self, x: Tensor) -> Tensor:
        branch, kept = self.outer(self.act(self.inner(x))), self.shortcut(x)
        if self.how == "iadd":
            branch += kept
            return branch  # type: ignore[no-any-return]  # modules are untyped
        if self.how == "torch":
            return torch.add(branch, kept)
        return kept + branch if self.how == "add" else kept.add(branch)  # type: ignore[no-any-return]  # untyped


class Parallel(nn.Module):
    """Two branches of equal depth: neither is a shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Any:
        return self.head(self.one(x) + self.other(x))


class Untraceable(nn.Module):
    """Its way depends on values."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.act, self.head = nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Any:
        h = self.first(x)
        return self.head(self.act(h) if h.sum() > -1e9 else h)


def names(model: nn.Module, place: str, shape: tuple[int, ...] = (4,)) -> list[str]:
    return [site.name for site in find_sites(model, torch.ones(2, *shape)) if site.place == place]


@pytest.mark.parametrize("how", ["add", "iadd", "torch", "method"])
@pytest.mark.parametrize("shortcut", [None, nn.Linear(4, 4)])
def test_the_end_of_a_branch_is_found_however_the_sum_is_written(
    how: str, shortcut: nn.Module | None
) -> None:
    model = nn.Sequential(Residual(how, shortcut), nn.Linear(4, 2))
    assert names(model, "branch") == ["0.outer"]
    assert names(model, "activation") == ["0.act"]


@pytest.mark.parametrize(
    "model", [Parallel(), Untraceable(), nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))]
)
def test_no_branch_is_made_up(model: nn.Module) -> None:
    assert names(model, "branch") == []


def test_a_model_that_cannot_be_traced_keeps_its_activations() -> None:
    assert names(Untraceable(), "activation") == ["act"]


def test_shapes_are_those_of_one_sample_and_the_order_is_that_of_the_pass() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.SiLU(), nn.Flatten(), nn.Linear(72, 5), nn.SELU(), nn.Linear(5, 2)
    )
    assert find_sites(model, torch.ones(2, 3, 5, 5)) == (
        Site("input", "", (3, 5, 5)),
        Site("activation", "1", (8, 3, 3), "SiLU"),
        Site("activation", "4", (5,), "SELU"),
    )


def test_the_model_is_left_as_it_was() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2)).train()
    model[1].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    find_sites(model, torch.randn(8, 4))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert [module.training for module in model] == [True, False, True, True]
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize(
    ("site", "methods"),
    [
        (Site("input", "", (4,)), {"input_dropout"}),
        (Site("activation", "a", (4,), "ReLU"), {"dropout", "gaussian_dropout", "uniform_dropout"}),
        (
            Site("activation", "a", (4,), "SELU"),
            {"alpha_dropout", "dropout", "gaussian_dropout", "uniform_dropout"},
        ),
        (
            Site("activation", "a", (6, 4), "GELU"),
            {"dropout", "gaussian_dropout", "locked_dropout", "uniform_dropout"},
        ),
        (Site("branch", "a", (8, 4, 4), "Conv2d"), {"drop_path"}),
    ],
)
def test_methods_fit_by_place_axes_and_noise(site: Site, methods: set[str]) -> None:
    studied = {name for name, method in catalogue().items() if method.study and fits(method, site)}
    assert studied == methods


def test_what_is_put_acts_in_training_and_goes_where_the_model_goes() -> None:
    model = Residual("add")
    put(model, "outer", DropPath(1.0))
    x = torch.randn(3, 4)
    assert torch.equal(model(x), x)
    assert not torch.equal(model.eval()(x), x)
    assert isinstance(model.outer, nn.Linear)


def test_a_container_that_would_call_its_child_too_is_refused() -> None:
    with pytest.raises(DropkitError, match="name is that of no container, got '0'"):
        put(nn.Sequential(nn.Sequential(nn.ReLU())), "0", Dropout(0.5))


@pytest.mark.parametrize("name", ["", "2", "act", None])
def test_a_module_that_is_not_there_is_refused(name: Any) -> None:
    with pytest.raises(DropkitError, match="name is that of a module of the model"):
        put(nn.Sequential(nn.Linear(4, 4), nn.ReLU()), name, Dropout(0.5))


def test_a_second_layer_behind_one_module_is_refused() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    put(model, "1", Dropout(0.5))
    with pytest.raises(DropkitError, match="with no layer behind it yet"):
        put(model, "1", Dropout(0.5))


def test_something_else_than_a_model_is_refused() -> None:
    with pytest.raises(DropkitError, match="model must be a Module"):
        find_sites("model", torch.ones(2, 4))  # type: ignore[arg-type]  # the point


class Positions(nn.Module):
    """Embeddings of words and of their places, as transformers have them."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(9, 4), nn.Embedding(9, 4)
        self.head = nn.Linear(4, 2)

    def forward(self, ids: Tensor) -> Any:
        return self.head((self.words(ids.clone()) + self.places(torch.arange(ids.shape[1]))).mean(1))


def test_what_was_put_is_taken_out_without_a_trace_also_from_a_copy() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    seen: list[Any] = []
    model[1].register_forward_hook(lambda *_: seen.append(1))
    before = repr(model)
    put(model, "1", layer := Dropout(1.0))
    for each in (copy.deepcopy(model), model):
        taken = take_out(each, "1")
        assert repr(each) == before
        x = torch.ones(3, 4)
        assert torch.equal(each(x), each.eval()(x))
        assert len(each[1]._forward_hooks) == 1
    assert taken is layer
    assert seen


def test_nothing_is_taken_out_where_nothing_was_put() -> None:
    with pytest.raises(DropkitError, match=r"name is that of a module with a layer behind it, got '1'"):
        take_out(nn.Sequential(nn.Linear(4, 4), nn.ReLU()), "1")


def test_a_token_is_what_an_embedding_gives_for_the_input_alone() -> None:
    sample = torch.tensor([[3, 4, 5], [6, 7, 8]])
    found = [site for site in find_sites(Positions(), sample) if site.place == "token"]
    assert found == [Site("token", "words", (3, 4), "Embedding")]
    assert [name for name, method in catalogue().items() if fits(method, found[0])] == ["token_dropout"]


def test_a_layer_whose_weights_are_computed_is_a_layer() -> None:
    model = nn.Sequential(weight_norm(nn.Linear(4, 8)), nn.ReLU(), spectral_norm(nn.Linear(8, 2)))
    found = [(site.place, site.name) for site in find_sites(model, torch.ones(2, 4))]
    assert found == [("input", ""), ("activation", "1")]


class Reader(nn.Module):
    """A transformer that is told which words are padding."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, activation=nn.GELU(), batch_first=True)
        self.words, self.encoder = nn.Embedding(20, 8, padding_idx=0), nn.TransformerEncoder(layer, 2)
        self.head = nn.Linear(8, 2)

    def forward(self, words: torch.Tensor) -> Any:
        return self.head(self.encoder(self.words(words), src_key_padding_mask=words == 0)[:, 0])


def test_a_transformer_with_padding_has_the_sites_that_its_layers_have() -> None:
    was = torch.backends.mha.get_fastpath_enabled()
    sites = find_sites(Reader(), torch.tensor([[3, 4, 5, 0], [2, 7, 0, 0]]))
    assert ("token", "words", (4, 8)) in {(site.place, site.name, site.shape) for site in sites}
    assert "encoder.layers.1.activation" in {site.name for site in sites if site.place == "activation"}
    assert torch.backends.mha.get_fastpath_enabled() is was
