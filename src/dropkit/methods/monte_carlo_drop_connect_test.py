import pytest

from dropkit.cli.show import code
from dropkit.methods.monte_carlo_drop_connect import METHOD


def test_the_shown_lines_predict_with_a_spread_and_leave_the_model_in_eval() -> None:
    pytest.importorskip("torch", reason="PyTorch is an optional package")
    names: dict[str, object] = {}
    shown = code(METHOD, {}) + "\nalike = torch.equal(model(torch.ones(4, 8)), model(torch.ones(4, 8)))"
    exec(shown + "\nsure = bool((spread > 0).all())", names)
    assert names["alike"]
    assert names["sure"]
