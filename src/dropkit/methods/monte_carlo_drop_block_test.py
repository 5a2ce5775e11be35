import pytest

from dropkit.methods.drop_block import drop_block
from dropkit.methods.monte_carlo_drop_block import monte_carlo_drop_block


def test_its_blocks_are_those_of_drop_block() -> None:
    assert monte_carlo_drop_block(0.3, (2, 5)) == drop_block(0.3, (2, 5))


def test_passes_in_evaluation_draw_and_their_layers_stay_in_evaluation() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is an optional package")
    import dropkit
    from dropkit.torch import DropBlock2d

    model = torch.nn.Sequential(torch.nn.BatchNorm2d(1), DropBlock2d(0.5, 2)).eval()
    x = torch.ones(8, 1, 6, 6)
    with dropkit.mode(model, "mc"):
        first, second = model(x), model(x)
        assert not model[0].training
    assert not torch.equal(first, second)
    assert set((first / model(x)).flatten().tolist()) == {0.0, 2.0}
    assert torch.equal(model(x), model[0](x))
