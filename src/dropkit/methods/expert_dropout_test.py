import numpy as np

from dropkit.core.reference import mask
from dropkit.methods.expert_dropout import expert_dropout


def test_the_preset_is_the_papers_rate_and_its_law_is_dropout() -> None:
    drawn = mask(1, (40, 50), expert_dropout())
    assert set(np.unique(drawn)) == {0.0, 1 / 0.6}
    assert len(np.unique(drawn, axis=0)) == 40
