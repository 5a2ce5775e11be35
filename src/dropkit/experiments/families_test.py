from dataclasses import replace

import pytest

from dropkit.experiments.families import Choice, Range, Space, combined, ensembles, families_for
from dropkit.report.plan import Arm, Data, Model

IMAGES = Data("images", "0", "classification", 100, (1, 8, 8), 10, 0.9)
NET = Model("net", "0", {"dropout": ("1", "3"), "spatial_dropout": ("1",)})


def names(data: Data, model: Model = NET) -> list[str]:
    return [space.name for space in families_for(data, model)]


def test_families_follow_the_task_the_inputs_and_the_model() -> None:
    assert names(IMAGES)[:6] == ["none", "L2", "L1", "max-norm", "label smoothing", "augmentation"]
    assert {"dropout", "spatial dropout", "early dropout", "R-Drop"} <= {*names(IMAGES)}
    table = replace(IMAGES, task="regression", input_shape=(7,))
    assert not {"label smoothing", "augmentation"} & {*names(table)}
    bare = replace(NET, sites={"drop_path": ("2",)})
    assert not {"dropout", "early dropout", "R-Drop"} & {*names(IMAGES, bare)}
    assert "drop path" in names(IMAGES, bare)


def test_a_place_of_its_own_is_searched_only_where_there_are_several() -> None:
    spaces = {space.name: space for space in families_for(IMAGES, NET)}
    assert spaces["dropout"].searched["at"] == Choice(("", "1", "3"))
    assert "at" not in spaces["spatial dropout"].searched
    deep = replace(NET, sites={"dropout": tuple("abcdefgh")})
    (space,) = (each for each in families_for(IMAGES, deep) if each.name == "dropout")
    assert space.searched["at"] == Choice(("", "a", "h"))


def test_a_point_of_a_space_is_an_arm() -> None:
    space = Space("dropout", {"rate": Range(0.1, 0.5)}, {"method": "drop_block"})
    arm = space.arm("dropout 3", {"rate": 0.2, "at": "a,b", "learning_rate": 0.1})
    assert arm == Arm("dropout 3", "dropout", rate=0.2, at=("a", "b"), method="drop_block", learning_rate=0.1)
    assert space.arm("x", {"rate": 0.2, "at": ""}).at == ()


@pytest.mark.parametrize(("value", "edge"), [(1e-5, True), (1.2e-5, True), (1e-3, False), (9e-3, True)])
def test_the_edge_of_a_logarithmic_range_is_in_its_logarithm(value: float, edge: bool) -> None:
    assert Space("L2", {"l2": Range(1e-5, 1e-2, log=True)}).at_edge({"l2": value}) == (
        ("l2",) if edge else ()
    )


def test_two_families_together_keep_both_settings_but_one_place_to_drop() -> None:
    dropout = Arm("dropout", "dropout", rate=0.3, at=("1",), learning_rate=1.0)
    block = Arm("drop block", "drop block", rate=0.1, method="drop_block", weight_decay=1.0)
    smooth = Arm("label smoothing", "label smoothing", label_smoothing=0.1)
    assert combined(dropout, block).fixed == {"rate": 0.3, "at": ("1",)}
    assert combined(block, dropout).fixed == {"rate": 0.1, "method": "drop_block"}
    assert combined(smooth, dropout).fixed == {"rate": 0.3, "at": ("1",), "label_smoothing": 0.1}


def test_ensembles_have_several_members() -> None:
    for space in ensembles():
        choice = space.searched["members"]
        assert isinstance(choice, Choice)
        assert min(choice.options) > 1
