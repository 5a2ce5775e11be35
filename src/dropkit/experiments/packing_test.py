import json
import math
from typing import Any

import pytest
import torch

from dropkit.experiments.packing import pack, unpack


def there_and_back(value: Any) -> Any:
    tensors: dict[str, torch.Tensor] = {}
    packed = json.loads(json.dumps(pack(value, tensors)))
    # As a file gives them back: each alone, in plain order.
    return unpack(packed, {name: value.contiguous().clone() for name, value in tensors.items()})


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        3,
        0.1,
        5e-324,
        "text",
        (1, (2.5, None)),
        [[], ()],
        {"a": {0: [1]}, 1: (True,)},
        {"dict": 1},
    ],
)
def test_plain_values_come_back_as_they_were(value: Any) -> None:
    found = there_and_back(value)
    assert found == value
    assert repr(found) == repr(value)


def test_numbers_that_are_none_come_back() -> None:
    assert math.isnan(there_and_back(float("nan")))
    assert there_and_back(float("-inf")) == float("-inf")


@pytest.mark.parametrize(
    "value",
    [
        torch.randn(2, 3),
        torch.tensor(4),
        torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        torch.randn(3, 4).T,
        torch.ones(3).expand(2, 3),
        torch.randn(4, 4)[:, ::2],
    ],
)
def test_tensors_come_back_in_their_own_order(value: torch.Tensor) -> None:
    found = there_and_back([value])[0]
    assert torch.equal(found, value)
    if 0 not in value.stride():
        assert found.stride() == value.stride()


@pytest.mark.parametrize("layout", [torch.sparse_coo, torch.sparse_csr])
@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta:UserWarning")  # torch's own note
def test_sparse_tensors_come_back_sparse(layout: torch.layout) -> None:
    value = torch.eye(3).to_sparse(layout=layout)
    found = there_and_back(value)
    assert found.layout is layout
    assert torch.equal(found.to_dense(), torch.eye(3))


def test_an_optimizer_goes_on_from_its_packed_state_to_the_same_bits() -> None:
    def steps(weight: torch.nn.Parameter, optimizer: torch.optim.Optimizer, count: int) -> None:
        for _ in range(count):
            weight.grad = weight.detach().sin()
            optimizer.step()

    start = torch.randn(2, 3, 2, 2).to(memory_format=torch.channels_last)
    ends = []
    for parts in ((6,), (3, 3)):
        weight = torch.nn.Parameter(start.clone())
        state: Any = None
        for count in parts:
            optimizer = torch.optim.AdamW([weight], lr=0.1, fused=True)
            if state is not None:
                optimizer.load_state_dict(there_and_back(state))
            steps(weight, optimizer, count)
            state = optimizer.state_dict()
        ends.append(weight.detach())
    assert torch.equal(*ends)


def test_what_would_have_to_be_pickled_is_refused() -> None:
    with pytest.raises(TypeError, match="object cannot be kept without pickling"):
        pack({"state": [object()]}, {})
