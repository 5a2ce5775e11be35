import numpy as np

from dropkit.methods.gating_dropout import METHOD, staying

LOGITS = np.array([[0.1, 2.0, -1.0, 0.5], [3.0, 0.0, 1.0, 1.5]])
LOCAL = np.array([False, False, True, True])


def test_tokens_that_stay_choose_the_best_expert_at_hand() -> None:
    logits = staying(LOGITS, LOCAL, True, np)
    assert logits.argmax(1).tolist() == [3, 3]
    assert np.array_equal(logits[:, LOCAL], LOGITS[:, LOCAL])
    assert (logits[:, ~LOCAL] == -np.inf).all()


def test_tokens_that_go_have_all_experts() -> None:
    assert np.array_equal(staying(LOGITS, LOCAL, False, np), LOGITS)


def test_a_step_is_decided_for_all_experts_elsewhere_at_once() -> None:
    drawn = METHOD.picture(7)
    assert (drawn[:, :4] == 1).all()
    assert {tuple(step) for step in drawn[:, 4:]} == {(0.0,) * 8, (1.0,) * 8}
