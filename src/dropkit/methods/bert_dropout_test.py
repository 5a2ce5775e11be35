from dropkit.methods import get


def test_it_is_a_preset_of_dropout_and_no_mechanism_of_its_own() -> None:
    method = get("devlin_dropout")
    assert method.variant_of == "dropout"
    assert set(method.picture().ravel().tolist()) == {0.0, 1 / 0.9}
