import torch

from dropkit.torch.recurrence import Factors, products, times, zone


def test_a_factor_of_0_gives_0_whatever_stands_there() -> None:
    x = torch.tensor([float("nan"), float("inf"), 2.0])
    assert times(x, torch.tensor([0.0, 0.0, 1.5])).tolist() == [0.0, 0.0, 3.0]
    assert times(x.half(), torch.tensor([0.0, 0.0, 1.5])).dtype == torch.float16
    assert times(x, None) is x


def test_zoneout_keeps_takes_or_mixes() -> None:
    new, previous = torch.tensor([float("nan"), 4.0, 4.0]), torch.tensor([1.0, 8.0, 8.0])
    assert zone(new, previous, torch.tensor([0.0, 1.0, 0.75])).tolist() == [1.0, 4.0, 5.0]
    assert zone(new, previous, None) is new


def test_masks_for_each_gate_are_products_of_each_gate() -> None:
    x, weight, bias = torch.randn(3, 5), torch.randn(8, 5), torch.randn(8)
    m = torch.rand(3, 4, 5)
    expected = torch.cat([(x * m[:, g]) @ weight[2 * g : 2 * g + 2].T for g in range(4)], -1)
    assert torch.allclose(products(x, weight, None, m), expected, atol=1e-6)
    assert torch.allclose(products(x, weight, bias, m), expected + bias, atol=1e-6)


def test_a_factor_serves_its_step_or_all() -> None:
    fresh, locked = torch.arange(6.0).reshape(1, 6, 1), torch.ones(1, 1, 1)
    now = Factors(state=fresh, cell=locked).at(4)
    assert now.state is not None
    assert now.state.item() == 4.0
    assert now.cell is not None
    assert now.cell.item() == 1.0
    assert now.candidate is None
