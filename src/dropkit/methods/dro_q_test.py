from dropkit.core.drop import Drop
from dropkit.methods.dro_q import METHOD, dro_q


def test_it_is_plain_dropout_of_every_unit() -> None:
    assert dro_q(0.3) == Drop(0.3)
    assert METHOD.variant_of == "dropout"
    assert METHOD.every_entry
