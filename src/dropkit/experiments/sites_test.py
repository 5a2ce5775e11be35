from typing import Any, get_args

import pytest
import torch
from scipy import stats
from torch import Tensor, nn
from torch.nn import functional as F

import dropkit.torch
from dropkit.experiments.models import cnn, mlp, text
from dropkit.experiments.sites import fed, make_dropout, places_for, with_arm
from dropkit.methods import catalogue
from dropkit.report.plan import Arm
from dropkit.surgery.sites import Place
from dropkit.testing.registry import share
from dropkit.testing.stats import binomial, joint

NONE = Arm("none", "none")
HALF = Arm("dropout 0.5", "dropout", rate=0.5)


class Shared(nn.Module):
    """One activation in two places; the head is made first and runs last."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(8, 3)
        self.first, self.second = nn.Linear(4, 8), nn.Linear(8, 8)
        self.act = nn.GELU()

    def forward(self, x: Tensor) -> Any:
        return self.head(self.act(self.second(self.act(self.first(x)))))


class Functional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Any:
        return self.head(F.relu(self.first(x)))


@pytest.mark.parametrize(
    ("model", "shape", "sites"),
    [
        (mlp((4,), 3), (4,), ("2", "4")),
        (cnn((1, 8, 8), 3), (1, 8, 8), ("1", "4", "8")),
        (Shared(), (4,), ("act",)),
        (nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3), nn.Sigmoid()), (4,), ("1",)),
        (nn.Sequential(nn.Linear(4, 8), nn.PReLU(), nn.Linear(8, 3), nn.PReLU()), (4,), ("1",)),
        (nn.Sequential(nn.ReLU(), nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)), (4,), ("2",)),
    ],
)
def test_sites_are_the_hidden_activations_in_running_order(
    model: nn.Module, shape: tuple[int, ...], sites: tuple[str, ...]
) -> None:
    assert places_for(model, shape)["dropout"] == sites


@pytest.mark.parametrize(
    "model",
    [Functional(), nn.Sequential(nn.Linear(4, 3), nn.ReLU()), nn.Sequential(nn.ReLU(), nn.Linear(4, 3))],
)
def test_a_model_may_have_no_place(model: nn.Module) -> None:
    assert places_for(model, (4,)) == {}


@pytest.mark.parametrize(
    "name",
    [name for name, method in catalogue().items() if method.describe and method.site in get_args(Place)],
)
def test_every_method_that_can_fit_is_made_of_its_rate_alone(name: str) -> None:
    method = catalogue()[name]
    layer = make_dropout(name, 1.0).train()
    shape = method.example.shape
    # A method of rate 1 leaves nothing of its input, but SELU's lower end where the noise is alpha.
    assert layer(torch.ones(shape)).unique().numel() == 1


def test_words_get_token_dropout_behind_their_embedding() -> None:
    model = text(3, n_words=9)
    places = places_for(model, (5,), n_words=9)
    assert places == {
        "dropout": ("2",),
        "gaussian_dropout": ("2",),
        "token_dropout": ("0.embedding",),
        "uniform_dropout": ("2",),
    }
    arm = Arm("t", "token dropout", rate=1.0, method="token_dropout")
    dropped = with_arm(model, arm, places).train()
    words = torch.randint(1, 9, (4, 5))
    assert (dropped(words) == dropped(words)[0]).all()
    assert (dropped.eval()(words) != dropped(words)[0]).any()


def test_dropout_at_the_input_of_words_makes_them_unknown() -> None:
    arm = Arm("w", "input dropout", input_rate=0.9999999)
    model = with_arm(nn.Sequential(nn.Identity()), arm, {}, words=True)
    assert model(torch.tensor([[3, 4, 0]])).tolist() == [[1, 1, 0]]
    assert model.eval()(torch.tensor([[3, 4, 0]])).tolist() == [[3, 4, 0]]


def test_channels_get_spatial_and_block_dropout_and_branches_get_drop_path() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.body, self.act = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3, padding=1), nn.ReLU()
            self.head = nn.Linear(4 * 36, 3)

        def forward(self, x: Tensor) -> Any:
            h = self.act(self.stem(x))
            return self.head((h + self.body(h)).flatten(1))

    assert places_for(Net(), (1, 8, 8)) == {
        "dropout": ("act",),
        "gaussian_dropout": ("act",),
        "uniform_dropout": ("act",),
        "spatial_dropout": ("act",),
        "drop_block": ("act",),
        "drop_path": ("body",),
    }


def test_dropout_stands_behind_every_use_and_only_in_training() -> None:
    model = with_arm(Shared(), HALF, {"dropout": ("act",)})
    seen = []
    second, head = model.get_submodule("second"), model.get_submodule("head")
    second.register_forward_hook(lambda _, args, out: seen.append(args[0]))
    head.register_forward_hook(lambda _, args, out: seen.append(args[0]))
    x = torch.randn(64, 4)
    model(x)
    zeros = [int((hidden == 0).sum()) for hidden in seen]
    assert binomial(zeros, seen[0].numel(), 0.5) > share("study")
    seen.clear()
    model.eval()(x)
    assert not any((hidden == 0).any() for hidden in seen)


def test_the_arm_leaves_the_weights_as_they_were() -> None:
    torch.manual_seed(0)
    plain = mlp((4,), 3)
    torch.manual_seed(0)
    dropped = with_arm(mlp((4,), 3), HALF, {"dropout": ("2", "4")})
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), dropped.parameters(), strict=True))


def test_input_dropout_hits_the_input_alone() -> None:
    model = with_arm(nn.Sequential(nn.Identity()), Arm("input 0.5", "input dropout", input_rate=0.5), {})
    assert binomial(int((model(torch.ones(1000)) == 0).sum()), 1000, 0.5) > share("study")


def test_gaussian_noise_has_the_mean_and_variance_that_our_own_layer_declares() -> None:
    arm = Arm("Gaussian 0.5", "Gaussian dropout", rate=0.5, method="gaussian_dropout")
    draws = (
        with_arm(nn.Sequential(nn.ReLU()), arm, {"gaussian_dropout": ("0",)})(torch.ones(100_000))
        .double()
        .numpy()
    )
    variance = dropkit.torch.GaussianDropout(0.5).description.noise.moments(0.5).variance
    # Sums and sums of squares of normal draws have these laws at every size.
    mean = stats.norm.sf(abs(draws.mean() - 1) / (variance / draws.size) ** 0.5)
    square = ((draws - 1) ** 2).sum() / variance
    spread = min(stats.chi2.cdf(square, draws.size), stats.chi2.sf(square, draws.size))
    assert 2 * joint([mean, spread]) > share("study")


@pytest.mark.parametrize("own", [nn.Dropout, nn.AlphaDropout, dropkit.torch.Dropout, dropkit.torch.DropPath])
def test_the_models_own_dropout_is_off_unless_the_arm_keeps_it(own: Any) -> None:
    def build() -> nn.Module:
        return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), own(0.3), nn.Linear(8, 3))

    torch.manual_seed(0)
    off, kept = (
        with_arm(build(), arm, {"dropout": ("1",)}) for arm in (NONE, Arm("as brought", "b", keeps_own=True))
    )
    x = torch.randn(64, 4)
    assert torch.equal(off(x), off(x))
    assert not torch.equal(kept(x), kept(x))


def test_the_model_behind_a_layer_at_its_input_can_be_reached() -> None:
    plain = mlp((4,), 3)
    model = with_arm(plain, Arm("input 0.5", "input dropout", input_rate=0.5), {})
    before, inner = fed(model)
    assert isinstance(before, dropkit.torch.InputDropout)
    assert inner is plain


def test_an_arm_can_name_its_places() -> None:
    arm = Arm("first", "dropout", rate=0.5, at=("2",))
    model = with_arm(mlp((4,), 3), arm, {"dropout": ("2", "4")})
    assert [name for name, module in model.named_modules() if isinstance(module, dropkit.torch.Layer)] == [
        "2.dropkit_drop"
    ]


@pytest.mark.parametrize("method", ["dropout", "gaussian_dropout", "input_dropout", "drop_path"])
def test_a_schedule_moves_the_rate_of_what_stands_inside_and_nothing_else(method: str) -> None:
    arm = Arm("early", "early", rate=0.5, method=method, input_rate=0.25, schedule="early")
    model = with_arm(nn.Sequential(nn.ReLU()), arm, {method: ("0",)}, steps=20)
    stepper, found = dropkit.torch.Stepper(model), []
    for step in (0, 5, 10, 20):
        stepper.move_to(step)
        found.append(stepper.rates)
    assert [list(rates.values()) for rates in found] == [[0.5], [0.25], [0.0], [0.0]]
