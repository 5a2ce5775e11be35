from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune

from dropkit.core.check import DropkitError
from dropkit.surgery.follow import Follower
from dropkit.surgery.homogeneous import _FUNCTIONS, _HOMOGENEOUS, _METHODS
from dropkit.torch import AlphaDropout, Dropout, GaussianDropout, TokenDropout

Forward = Callable[[Any, Tensor], Any]


class Net(nn.Module):
    """A dropout, two linear maps, and a forward pass that a test gives."""

    def __init__(self, forward: Forward, **modules: nn.Module) -> None:
        super().__init__()
        self.drop, self.a, self.b = Dropout(0.5), nn.Linear(4, 4), nn.Linear(4, 4)
        for name, module in modules.items():
            setattr(self, name, module)
        self.how = forward

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.how(self, x)
        return y


def behind(*modules: nn.Module) -> Net:
    return Net(lambda net, x: net.a(net.rest(net.drop(x))), rest=nn.Sequential(*modules))


def follow(model: nn.Module, name: str = "drop") -> list[str]:
    return sorted(Follower(model).linears(name))


@pytest.mark.parametrize("kind", sorted(_HOMOGENEOUS, key=str))
def test_every_module_that_is_passed_is_positively_homogeneous(kind: Any) -> None:
    arguments = {nn.Unflatten: (1, (2, 4))}.get(kind, (2,) if "Pool" in kind.__name__ else ())
    module = kind(*arguments)
    axes = 2 if "d" not in kind.__name__[-1:] else int(kind.__name__[-2])
    x = torch.randn(2, 8, *[8] * axes, generator=torch.Generator().manual_seed(0))
    for training in (True, False):
        outputs = []
        for factor in (1.0, 0.25):
            torch.manual_seed(1)
            outputs.append(module.train(training)(x * factor))
        assert torch.equal(outputs[0] * 0.25, outputs[1])


CALLS = {
    "getitem": lambda x: x[:, 1:, 0],
    "flatten": lambda x: x.flatten(1),
    "permute": lambda x: x.permute(2, 0, 1),
    "reshape": lambda x: x.reshape(x.shape[0], -1),
    "view": lambda x: x.view(x.size(0), -1),
    "transpose": lambda x: x.transpose(0, x.dim() - 1),
    "mean": lambda x: x.mean(-1),
    "sum": lambda x: torch.sum(x, -1),
    "relu": F.relu,
    "leaky_relu": lambda x: F.leaky_relu(x, 0.1),
    "max_pool1d": lambda x: F.max_pool1d(x, 2),
    "avg_pool1d": lambda x: F.avg_pool1d(x, 2),
    "adaptive_avg_pool1d": lambda x: F.adaptive_avg_pool1d(x, 2),
    "squeeze": lambda x: x.unsqueeze(0).squeeze(0).contiguous(),
    "dropout": lambda x: F.dropout(x, 0.5),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_calls_that_pass_a_factor_are_followed_through(call: Callable[[Tensor], Tensor]) -> None:
    assert follow(Net(lambda net, x: net.a(call(net.drop(x))))) == ["a"]
    x = torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(1)
    y = call(x)
    torch.manual_seed(1)
    assert torch.equal(call(x * 0.25), y * 0.25)


def test_the_lists_hold_nothing_that_bends_or_shifts() -> None:
    bent = {
        F.gelu,
        F.softmax,
        F.layer_norm,
        F.silu,
        torch.tanh,
        torch.sigmoid,
        F.alpha_dropout,
        F.relu6,
        F.elu,
    }
    assert not _FUNCTIONS & bent
    assert not _METHODS & {"softmax", "sigmoid", "tanh", "exp", "add", "relu_", "clamp"}
    assert not {nn.GELU, nn.LayerNorm, nn.BatchNorm1d, nn.ReLU6, nn.ELU, nn.AlphaDropout} & set(_HOMOGENEOUS)


def test_all_branches_are_followed() -> None:
    assert follow(Net(lambda net, x: net.a(y := net.drop(x)) + net.b(y.relu()))) == ["a", "b"]


def test_inside_blocks_names_are_those_of_the_model() -> None:
    model = nn.Sequential(nn.Sequential(nn.Linear(4, 4), Dropout(0.5)), nn.Sequential(nn.Linear(4, 4)))
    assert follow(model, "0.1") == ["1.0"]


BEHIND = {
    "LayerNorm": nn.LayerNorm(4),
    "BatchNorm1d": nn.BatchNorm1d(4),
    "Softmax": nn.Softmax(-1),
    "Sigmoid": nn.Sigmoid(),
    "GELU": nn.GELU(),
    "ReLU6": nn.ReLU6(),
    "AlphaDropout": AlphaDropout(0.1),
    "Bilinear": nn.Bilinear(4, 4, 4),
}


@pytest.mark.parametrize("kind", BEHIND)
def test_modules_that_pass_no_factor_are_refused_by_name(kind: Any) -> None:
    with pytest.raises(
        DropkitError, match=rf"model has nothing but linear maps behind 'drop', got '{kind} rest.0'; leave"
    ):
        follow(behind(BEHIND[kind]))


@pytest.mark.parametrize("layer", [GaussianDropout(0.1), TokenDropout(0.1, prefix=1), nn.Dropout(0.1)])
def test_dropout_to_zero_passes_the_factor_of_another(layer: nn.Module) -> None:
    assert follow(behind(layer)) == ["a"]


REFUSED = {
    "residual": (lambda net, x: net.a(x + net.drop(x)), "behind 'drop', got 'call_function add'"),
    "augmented": (lambda net, x: net.a(net.drop(x).add(1)), "behind 'drop', got 'call_method add'"),
    "cat": (lambda net, x: net.a(torch.cat([net.drop(x), x])), "got 'call_function cat'"),
    "bits": (lambda net, x: net.a(net.drop(x).view(torch.float32)), "got 'call_method view'"),
    "index": (lambda net, x: net.a(x[net.drop(x)]), "got 'call_function getitem'"),
    "own index": (lambda net, x: net.a((y := net.drop(x))[y]), "got 'call_function getitem'"),
    "functional": (lambda net, x: F.linear(net.drop(x), net.a.weight), "got 'call_function linear'"),
    "output": (lambda net, x: net.drop(net.a(x)), "got 'the output of the model'"),
    "one branch": (lambda net, x: net.a(y := net.drop(x)) + y, "got 'call_function add"),
    "unused": (lambda net, x: net.a(x), "calls 'drop' in its forward pass"),
    "twice": (lambda net, x: net.a(net.a(net.drop(x))), "calls what follows 'drop' once, got 'Linear a'"),
    "read": (lambda net, x: F.linear(net.a(net.drop(x)), net.a.weight), "ties no weight behind 'drop'"),
    "training only": (
        lambda net, x: net.a(net.drop(x) if net.training else x),
        "calls 'drop' in its forward pass, in training and in eval",
    ),
    "another path": (
        lambda net, x: (net.a if net.training else net.b)(net.drop(x)),
        r"same linear maps in training and in eval, got \"\['a'\] and \['b'\]\"",
    ),
    "untraceable": (lambda net, x: net.a(net.drop(x)) if x.sum() > 0 else x, "can be traced by torch.fx"),
    "window": (lambda net, x: net.a(net.drop(x, padding=x)), "gives 'drop' one tensor"),
}


@pytest.mark.parametrize(("forward", "message"), REFUSED.values(), ids=REFUSED)
def test_ways_that_lead_elsewhere_are_refused(forward: Forward, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        follow(Net(forward))


def straight(net: Any, x: Tensor) -> Any:
    return net.a(net.drop(x))


def tied() -> Net:
    model = Net(straight)
    model.b.weight = model.a.weight
    return model


def sharing_memory() -> Net:
    model = Net(straight)
    model.b.weight = nn.Parameter(model.a.weight.data.T)
    return model


def tied_to_an_embedding() -> Any:
    model: Any = Net(straight, table=nn.Embedding(4, 4))
    model.a.weight = model.table.weight
    return model


def weight_norm() -> nn.Module:
    model = Net(straight)
    parametrizations.weight_norm(model.a)
    return model


def spectral_norm() -> Net:
    model = Net(straight)
    parametrizations.spectral_norm(model.a)
    return model


def pruned() -> nn.Module:
    model = Net(straight)
    prune.identity(model.a, "weight")  # type: ignore[no-untyped-call]  # torch's
    return model


class Gated(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        return y if y.sum() > 0 else -y


class Bent(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).tanh()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (tied(), "ties no weight behind 'drop' to another, got 'Linear a'"),
        (sharing_memory(), "ties no weight behind 'drop' to another"),
        (tied_to_an_embedding(), "ties no weight behind 'drop' to another"),
        (weight_norm(), "has plain weights behind 'drop', got 'ParametrizedLinear a'"),
        (spectral_norm(), "has plain weights behind 'drop', got 'ParametrizedLinear a'"),
        (pruned(), "has plain weights behind 'drop', got 'Linear a'"),
        (Net(straight, a=Bent(4, 4)), "nothing but linear maps behind 'drop'"),
        (Net(straight, a=Gated(4, 4)), "nothing but linear maps behind 'drop', got 'Gated a'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_weights_that_are_not_free_to_take_a_factor_are_refused(model: nn.Module, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        follow(model)


@pytest.mark.parametrize("place", ["drop", "rest.0", "a"])
def test_hooks_are_refused_for_they_may_do_anything(place: str) -> None:
    model = behind(nn.ReLU())
    model.get_submodule(place).register_forward_hook(lambda *_: None)
    with pytest.raises(DropkitError, match="has no hooks at 'drop' and what follows it"):
        follow(model)


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


def test_a_part_that_cannot_be_traced_does_no_harm_elsewhere() -> None:
    assert follow(
        nn.Sequential(Branching(), nn.Sequential(Dropout(0.5), nn.Linear(4, 4)), Branching()), "1.0"
    ) == ["1.1"]
    with pytest.raises(DropkitError, match="behind '0', got 'Branching 1'"):
        follow(nn.Sequential(Dropout(0.5), Branching(), nn.Linear(4, 4)), "0")


@pytest.mark.parametrize(
    "forward",
    [
        lambda net, x: net.b(h := torch.relu(x)) + net.a(net.over(h)),
        lambda net, x: net.b(h := torch.relu(x)) + net.a(net.over(h.view(-1, 4))),
        lambda net, x: net.b(h := torch.relu(x)) + net.a(F.relu(net.drop(h), inplace=True)),
        lambda net, x: net.b(h := torch.relu(x)) + net.a(net.act(net.drop(h))),
    ],
    ids=["dropout", "of a view", "function behind", "module behind"],
)
def test_overwriting_what_others_read_is_refused(forward: Forward) -> None:
    model = Net(forward, over=Dropout(0.5, inplace=True), act=nn.ReLU(inplace=True))
    name = "over" if forward.__code__.co_names.count("over") else "drop"
    with pytest.raises(DropkitError, match=f"overwrites nothing at '{name}' that others read"):
        follow(model, name)


def test_overwriting_what_nobody_else_reads_is_harmless() -> None:
    model = nn.Sequential(nn.Linear(4, 4), Dropout(0.5, inplace=True), nn.ReLU(inplace=True), nn.Linear(4, 4))
    assert follow(model, "1") == ["3"]


def test_tracing_leaves_nothing_behind_in_the_model() -> None:
    def forward(net: Any, x: Tensor) -> Any:
        net.last = x
        return straight(net, x)

    model = Net(forward).eval()
    assert follow(model) == ["a"]
    assert "last" not in vars(model)
    assert not model.training
