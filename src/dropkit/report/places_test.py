from dataclasses import replace

from tests import made_up

from dropkit.report.places import MOST_MODULES, Places, places_of
from dropkit.report.plan import Arm
from dropkit.report.record import StudyResult


def placed(result: StudyResult, arm: Arm) -> Places:
    arms = (replace(result.arms[0], arm=arm),)
    found = places_of(replace(result, arms=arms, verdict=replace(result.verdict, recommended=arm.name)))
    assert found is not None
    return found


def test_the_recommended_modules_are_marked(result: StudyResult) -> None:
    found = placed(result, Arm("a", "a", rate=0.1, method="drop_block", at=("features.4",)))
    assert found.methods == ("input_dropout", "dropout", "gaussian_dropout", "drop_block")
    assert dict(found.rows)["features.1"] == ("", "possible", "possible", "possible")
    assert dict(found.rows)["features.4"] == ("", "possible", "possible", "here")
    assert dict(found.rows)["head.1"] == ("", "possible", "possible", "")


def test_without_a_place_of_its_own_an_arm_stands_everywhere_and_input_dropout_at_the_input(
    result: StudyResult,
) -> None:
    found = placed(result, Arm("a", "a", rate=0.1, input_rate=0.2))
    assert dict(found.rows)[""] == ("here", "", "", "")
    assert [marks[1] for _, marks in found.rows[1:]] == ["here"] * 4


def test_of_many_modules_the_recommended_are_never_left_out(result: StudyResult) -> None:
    names = tuple(f"block.{at}" for at in range(100))
    many = replace(result, plan=made_up.plan(model={"sites": {"dropout": names}}))
    found = placed(many, Arm("a", "a", rate=0.1, at=("block.99",)))
    assert found.hidden == 101 - len(found.rows)
    assert len(found.rows) == MOST_MODULES
    assert found.rows[-1] == ("block.99", ("", "here"))


def test_embeddings_come_first_and_branches_end_in_their_blocks(result: StudyResult) -> None:
    sites = {
        "dropout": ("block.0.act", "block.1.act", "head.act"),
        "drop_path": ("block.0.out", "block.1.out"),
        "token_dropout": ("words",),
    }
    found = placed(replace(result, plan=made_up.plan(model={"sites": sites})), Arm("a", "a"))
    blocks = ["block.0.act", "block.0.out", "block.1.act", "block.1.out"]
    assert [name for name, _ in found.rows] == ["", "words", *blocks, "head.act"]


def test_a_model_with_no_site_has_no_table(result: StudyResult) -> None:
    assert places_of(replace(result, plan=made_up.plan(model={"sites": {}}))) is None
