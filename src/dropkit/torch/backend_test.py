"""The rest of PyTorch that a layer has to live with: autocast, DDP, FSDP, export, ONNX."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

import dropkit
from dropkit.torch import AlphaDropout, DropBlock2d, Dropout, Zoneout

X = torch.randn(6, 10, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def process_group(tmp_path: Path) -> Iterator[None]:
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(10, 8), Dropout(0.5), nn.Linear(8, 2))


def trained(model: nn.Module) -> list[Tensor]:
    torch.manual_seed(1)
    model(X).square().sum().backward()
    return [p.grad for p in model.parameters() if p.grad is not None]


def test_autocast_reaches_the_layer() -> None:
    model = network()
    with torch.autocast("cpu", torch.bfloat16):
        h = model[0](X)
        y = model[1](h, key=3)
        y.sum().backward()
    assert h.dtype == y.dtype == torch.bfloat16
    assert torch.equal(y, torch.tensor(dropkit.mask(3, (6, 8), dropkit.Drop(0.5))).to(h.dtype) * h)


@pytest.mark.usefixtures("process_group")
def test_distributed_data_parallel_trains_as_one_process() -> None:
    expected = trained(network())
    for one, other in zip(trained(DistributedDataParallel(network())), expected, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.usefixtures("process_group")
def test_a_sharded_state_has_no_trace_of_dropout() -> None:
    mesh = dist.device_mesh.init_device_mesh("cpu", (1,))
    model, plain = network(), network()
    fully_shard(model, mesh=mesh)
    assert (
        list(model.state_dict()) == list(plain.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    )
    model.load_state_dict(model.state_dict())
    for one, other in zip(trained(model), trained(plain), strict=True):
        assert isinstance(one, DTensor)
        torch.testing.assert_close(one.full_tensor(), other)


class Everything(nn.Module):
    """Every eval map at once: the identity, a factor, a factor under a schedule, a mixture of two states."""

    def __init__(self) -> None:
        super().__init__()
        rate = dropkit.linear_schedule(0.2, 0.8, 9)
        self.body = nn.Sequential(nn.Linear(10, 8), Dropout(), Dropout(0.3, scale="eval"), AlphaDropout())
        self.scheduled, self.zoneout, self.blocks = Dropout(rate, scale="eval"), Zoneout(0.3), DropBlock2d()

    def forward(self, x: Tensor) -> Tensor:
        h = self.body(x)
        y: Tensor = self.blocks(self.zoneout(self.scheduled(h), h)[:, None, None])
        return y


@pytest.mark.parametrize("strict", [False, True])
def test_export_in_evaluation_holds_torch_operators_alone(strict: bool) -> None:
    model = Everything().eval()
    exported = torch.export.export(model, (X,), strict=strict)
    assert "dropkit" not in str(exported.graph)
    assert torch.equal(exported.module()(X), model(X))


@pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec:FutureWarning")
def test_onnx_in_evaluation_gives_the_same_numbers(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="an optional package")
    runtime: Any = pytest.importorskip("onnxruntime", reason="an optional package")
    model = Everything().eval()
    program: Any = torch.onnx.export(model, (X,), dynamo=True, verbose=False)
    program.save(tmp_path / "model.onnx")
    session = runtime.InferenceSession(str(tmp_path / "model.onnx"))
    (result,) = session.run(None, {session.get_inputs()[0].name: X.numpy()})
    torch.testing.assert_close(torch.from_numpy(result), model(X))
