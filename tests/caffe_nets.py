"""Nets of Caffe for tests, run by OpenCV's importer beside ours; how far the two may differ is derived."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from dropkit.migrate import caffe_modules as own
from dropkit.migrate import rebuild_caffe
from dropkit.migrate.caffe_batch_norm import BatchNormOfBatch
from dropkit.migrate.caffe_rebuild import CaffeModule
from dropkit.migrate.caffe_schema import net_class

CONV, POOL, LRN, FC = "convolution_param", "pooling_param", "lrn_param", "inner_product_param"

UNIT = 2.0**-24
"""Half a unit in the last place of single precision."""
FUNCTION = 7e-6
"""The relative error that OpenCV's documentation of cv::exp and cv::log allows them in single precision."""

# Products and quotients of functions: the error is relative to the output. The others' may cancel.
_RELATIVE = (nn.LocalResponseNorm, own.LocalNorm, nn.Softmax, nn.Sigmoid)
_FUNCTIONS = (*_RELATIVE, nn.Tanh, nn.ELU, nn.Softplus, own.Power, own.Exp)


def write(tmp_path: Path, text: str, shape: tuple[int, ...] = (2, 4, 9, 8)) -> Path:
    dims = " ".join(f"dim: {size}" for size in shape)
    head = "" if "input:" in text else f'input: "data" input_shape {{ {dims} }}\n'
    path = tmp_path / "net.prototxt"
    path.write_text(f'name: "net"\n{head}{text}', encoding="utf-8")
    return path


def layer(name: str, type: str, bottom: str, top: str = "", rest: str = "") -> str:
    bottoms = " ".join(f'bottom: "{each}"' for each in bottom.split())
    tops = " ".join(f'top: "{each}"' for each in (top or name).split())
    return f'layer {{ name: "{name}" type: "{type}" {bottoms} {tops} {rest} }}\n'


def random_blobs(model: CaffeModule, seed: int = 0) -> dict[str, list[np.ndarray]]:
    """Return weights for each layer that has some, as a file of Caffe holds them."""
    random = np.random.default_rng(seed)
    made: dict[str, list[np.ndarray]] = {}
    for step in model.steps:
        module = model.get_submodule(step.name)
        shapes = [tuple(each.shape) for each in module.parameters()]
        blobs = [
            random.normal(0, np.prod(shape[1:]) ** -0.5, shape)
            if shape[1:]
            else random.uniform(0.1, 1, shape)
            for shape in shapes
        ]
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            size = module.num_features
            # Caffe's statistics are sums, and the third blob is what they are divided by.
            blobs = [random.normal(0, 4, size), random.uniform(2, 8, size), np.array([4.0])]
        if isinstance(module, own.InnerProduct) and module.transpose:
            blobs[0] = blobs[0].T
        if blobs:
            made[step.layer] = [each.astype(np.float32) for each in blobs]
    return made


def caffemodel(path: Path, blobs: dict[str, list[np.ndarray]], types: dict[str, str]) -> Path:
    message = net_class()(name="net")
    for name, arrays in blobs.items():
        new = message.layer.add(name=name, type=types[name])
        for array in arrays:
            blob = new.blobs.add(data=array.ravel().tolist())
            blob.shape.dim.extend(array.shape)
    target = path.with_suffix(".caffemodel")
    target.write_bytes(message.SerializeToString())
    return target


def filled(path: Path, seed: int = 0) -> tuple[CaffeModule, Path]:
    """Return a net with random weights, loaded from the file that is returned too."""
    empty = rebuild_caffe(path)
    types = {step.layer: step.type for step in empty.steps}
    weights = caffemodel(path, random_blobs(empty, seed), types)
    return rebuild_caffe(path, weights=weights if weights.stat().st_size > len(b"\n\3net") else None), weights


def opencv(path: Path, weights: Path, x: dict[str, np.ndarray], outputs: list[str]) -> list[np.ndarray]:
    net = cv2.dnn.readNetFromCaffe(str(path), str(weights))
    # Winograd's sums have other roundings than those that are counted here.
    net.enableWinograd(False)
    for name, value in x.items():
        net.setInput(value, name)
    return [np.asarray(each) for each in net.forward(outputs)]


def compare(path: Path, seed: int = 0) -> CaffeModule:
    """Rebuild a net, and run it and OpenCV's with the same file of weights and the same inputs."""
    torch.manual_seed(seed)
    model, weights = filled(path, seed)
    x = {name: torch.rand(shape) + 0.1 for name, shape in model.inputs.items()}
    with torch.no_grad():
        made = model(*x.values())
    ours = made if isinstance(made, dict) else {model.outputs[0]: made}
    # OpenCV names an output by the layer that gives it, "slice.1" where it gives several.
    names = {
        top: [step.name, *[f"{step.name}.{at}"] * (at > 0)][-1]
        for step in model.steps
        for at, top in enumerate(step.tops)
    }
    theirs = opencv(path, weights, {k: v.numpy() for k, v in x.items()}, [names[top] for top in ours])
    exact, bounds = within(model, list(x.values()))
    for (top, mine), their in zip(ours.items(), theirs, strict=True):
        assert tuple(mine.shape) == their.shape, top
        for found in (mine, torch.from_numpy(their)):
            excess = (found.double() - exact[top]).abs() - bounds[top]
            assert (excess <= 0).all(), f"{top} differs by {excess.max()} more than its roundings"
    return model


def within(model: CaffeModule, inputs: list[Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the outputs in double precision, and how far single precision may be from each number.

    To first order, an output errs by the sum of the errors that each layer makes, times the derivative of the
    output by what the layer gives.
    """
    model = copy.deepcopy(model).double()
    steps: list[tuple[Tensor, Tensor]] = []

    def hook(module: nn.Module, given: tuple[Tensor, ...], made: Any) -> Any:
        news = tuple(each.clone() for each in (made if isinstance(made, tuple) else (made,)))
        steps.extend(zip(news, _local(module, given, made), strict=True))
        return news if isinstance(made, tuple) else news[0]

    for step in model.steps:
        model.get_submodule(step.name).register_forward_hook(hook)
    made = model(*(each.double().requires_grad_() for each in inputs))
    exact = made if isinstance(made, dict) else {model.outputs[0]: made}
    return {top: each.detach() for top, each in exact.items()}, {
        top: _bound(each, steps) for top, each in exact.items()
    }


def _bound(output: Tensor, steps: list[tuple[Tensor, Tensor]]) -> Tensor:
    values, rows = [value for value, _ in steps], []
    each = torch.eye(output.numel(), dtype=output.dtype).view(-1, *output.shape)
    for start in range(0, output.numel(), 256):
        slopes = torch.autograd.grad(
            output,
            values,
            each[start : start + 256],
            retain_graph=True,
            allow_unused=True,
            is_grads_batched=True,
        )
        terms = [
            (slope.abs() * error).flatten(1).sum(1)
            for slope, (_, error) in zip(slopes, steps, strict=True)
            if slope is not None
        ]
        rows.append(sum(terms, torch.zeros(())))
    # The second order is smaller by the bound itself, which stays below a hundredth.
    return 1.01 * torch.cat(rows).view(output.shape)


@torch.no_grad()
def _local(module: nn.Module, given: tuple[Tensor, ...], made: Any) -> list[Tensor]:
    """Return how far a layer's own roundings may take each number that it gives."""
    if isinstance(module, _FUNCTIONS) and getattr(module, "power", 2) != 1:
        # Each calls exp and log at most once, or pow, which is both; beside that a few roundings are nothing.
        return [2 * FUNCTION * ((not isinstance(module, _RELATIVE)) + made.abs())]
    if isinstance(module, BatchNormOfBatch):
        # The mean errs by that of a sum; that moves the variance, a minimum there, in the second order alone.
        x, dims = given[0], [axis for axis in range(given[0].dim()) if axis != 1]
        centred = x - x.mean(dims, keepdim=True)
        deviation = (centred.square().mean(dims, keepdim=True) + module.eps).sqrt()
        sizes = x.abs().mean(dims, keepdim=True) + centred.abs()
        return [_gamma(x.numel() // x.shape[1] + 8) * sizes / deviation]
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        mean, var = module.running_mean, module.running_var
        assert mean is not None
        assert var is not None
        shape = (1, -1, *(1,) * (given[0].dim() - 2))
        sizes = (given[0].abs() + mean.abs().view(shape)) / (var.view(shape) + module.eps).sqrt()
        return [_gamma(8) * sizes]
    # The rest are sums of products: with all signs positive they are as large as the roundings can see them.
    positive = copy.deepcopy(module)
    for hooked in positive.modules():
        hooked._forward_hooks.clear()
    for value in positive.parameters():
        value.abs_()
    if isinstance(positive, own.Power):
        positive.scale, positive.shift = abs(positive.scale), abs(positive.shift)
    if isinstance(positive, own.Eltwise):
        positive.factors = tuple(map(abs, positive.factors))
    sizes = positive(*(each.abs() for each in given))
    return [
        _gamma(_terms(module, given[0]) + 2) * each
        for each in (sizes if isinstance(sizes, tuple) else (sizes,))
    ]


def _gamma(count: int) -> float:
    """Return the relative error of a sum or product of so many roundings (Higham 2002, lemma 3.1)."""
    return count * UNIT / (1 - count * UNIT)


def _terms(module: nn.Module, given: Tensor) -> int:
    if isinstance(module, own.Pool):
        return math.prod(module.kernel or given.shape[-2:])
    weight = getattr(module, "weight", None)
    if weight is None or weight.dim() < 2:
        return len(getattr(module, "factors", ())) + 2
    turned = isinstance(module, nn.modules.conv._ConvTransposeNd)
    return int(weight[:, 0].numel() if turned else weight[0].numel())
