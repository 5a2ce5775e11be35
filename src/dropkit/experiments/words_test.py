from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from torch.utils.data import Dataset as TorchDataset

import dropkit
from dropkit.core.check import DropkitError
from dropkit.experiments.columns import Columns
from dropkit.experiments.dataset import Dataset
from dropkit.experiments.sources import load_data
from dropkit.experiments.words import MAX_LENGTH, MAX_WORDS, WordInputs, numbered_words, texts
from dropkit.report.messages import Note
from dropkit.report.plan import Arm

ROWS = 90
KINDS = np.where(np.arange(ROWS) % 3, "praise", "blame")
TEXTS = [
    f"{'good' if kind == 'praise' else 'bad'} film number {row}, really" for row, kind in enumerate(KINDS)
]
FRAME = pd.DataFrame({"text": TEXTS, "kind": KINDS, "who": np.arange(ROWS) // 2, "other": 1.0})


def inputs_of(*rows: str | None) -> WordInputs:
    return texts("rows", pd.Series(rows))[0]


def encoded(inputs: WordInputs, train: list[int]) -> list[list[int]]:
    return [row.tolist() for row in inputs.encoder(np.array(train))(inputs)]


def test_the_commonest_words_of_the_training_part_are_numbered_first() -> None:
    inputs = inputs_of("b A b", "c, a; B!", "d d c")
    assert (inputs.shape, inputs.n_words) == ((3,), 6)
    assert encoded(inputs, [0, 1]) == [[2, 3, 2], [1, 3, 2], [1, 1, 1]]
    assert encoded(inputs, [2]) == [[1, 1, 1], [1, 1, 1], [2, 2, 1]]


def test_words_outside_of_the_training_part_change_nothing_in_it() -> None:
    one, other = inputs_of("a b a b", "c c"), inputs_of("a b a b", "a a a a b")
    assert encoded(one, [0])[0] == encoded(other, [0])[0][:4] == [2, 3, 2, 3]


def test_every_split_has_the_shape_and_the_words_of_all() -> None:
    inputs = texts("rows", pd.Series(TEXTS))[0]
    for train in (range(10), range(40, 80)):
        rows = inputs.encoder(np.array(train))(inputs.take(np.arange(5)))
        assert rows.shape == (5, *inputs.shape)
        assert rows.max() < inputs.n_words
        assert rows.dtype == np.int64


def test_a_text_without_a_word_is_one_unknown_word() -> None:
    inputs, notes = texts("rows", pd.Series(["a a", "", None, "...", np.nan]))
    assert encoded(inputs, [0]) == [[2, 2], *[[1, 0]] * 4]
    assert Note("note.empty_texts", {"n": 4}) in notes


def test_a_text_of_a_million_words_is_cut_and_said() -> None:
    inputs, notes = texts("rows", pd.Series(["word " * 10**6, *["two words"] * 300]))
    assert inputs.shape == (2,)
    assert Note("note.long_texts", {"n": 1}) in notes
    assert texts("rows", pd.Series(["word " * 10**6] * 2))[0].shape == (MAX_LENGTH,)


def test_there_is_an_end_to_the_words() -> None:
    many = " ".join(f"w{number}" for number in range(MAX_LENGTH))
    rows = [many.replace("w", f"w{row}x") for row in range(MAX_WORDS // MAX_LENGTH + 5)] * 2
    inputs = inputs_of(*rows)
    assert inputs.n_words == MAX_WORDS + 2
    numbers = inputs.encoder(np.arange(len(rows)))(inputs)
    assert (numbers.max(), numbers.min()) == (MAX_WORDS + 1, 1)


def test_a_chinese_or_japanese_sign_is_a_word() -> None:
    assert encoded(inputs_of("我爱你 ok", "我爱她かOK"), [0, 1]) == [[3, 4, 1, 2, 0], [3, 4, 1, 1, 2]]


def test_numbers_of_words_stay_as_they_are() -> None:
    x = np.array([[5, 2, 0], [3, 1, 1]], dtype=np.uint8)
    inputs = numbered_words(x)
    assert encoded(inputs, [0]) == x.tolist()
    assert (inputs.shape, inputs.n_words) == ((3,), 6)


def test_rows_of_equal_words_have_equal_hashes_and_the_digest_sees_every_word() -> None:
    hashes = inputs_of("a b", "A, b", "b a").row_hashes()
    assert hashes[0] == hashes[1] != hashes[2]
    contents = [inputs_of("a a", each).content() for each in ("b", "c", "b b", "")]
    assert len({*contents, inputs_of("a a", "b").content()}) == 4


MARKED = [
    *("हिन्दी भाषा", "தமிழ் மொழி", "ภาษาไทย", "עִבְרִית שלום"),
    *("cafe\u0301 nai\u0308ve", "می\u200cخواهم کتاب", "क्\u200dष"),
]


@pytest.mark.parametrize("text", MARKED)
def test_marks_and_joiners_stay_at_their_letters(text: str) -> None:
    assert inputs_of(text, text).words == tuple(sorted(text.split()))


def test_a_mark_without_a_letter_is_no_word_and_a_voiced_kana_stays_a_sign() -> None:
    assert inputs_of("❤\ufe0f ok", "ok").words == ("ok",)
    assert inputs_of("か\u3099", "か").words == ("か", "\u3099")


def test_texts_that_differ_beyond_the_length_and_empty_ones_are_no_copies() -> None:
    inputs = inputs_of(*["a b"] * 300, "a b c", "a b d", "", "...", "a b c")
    assert inputs.shape == (2,)
    hashes = inputs.take(np.arange(299, 305)).row_hashes().tolist()
    assert len(set(hashes)) == 5
    assert hashes[1] == hashes[5] == inputs.row_hashes()[300]


class Items(TorchDataset[Any]):
    def __len__(self) -> int:
        return ROWS

    def __getitem__(self, row: int) -> tuple[str, Any]:
        return TEXTS[row], KINDS[row]


def csv(place: Path) -> Dataset:
    FRAME.to_csv(place / "t.csv", index=False)
    return load_data(place / "t.csv", Columns("kind", text="text"))


def npz(place: Path) -> Dataset:
    np.savez(place / "t.npz", x=np.array(TEXTS), y=KINDS)
    return load_data(place / "t.npz")


FORMS = {
    "a list": lambda place: load_data((TEXTS, KINDS)),
    "a column": lambda place: load_data((FRAME["text"], FRAME["kind"])),
    "a frame": lambda place: load_data(FRAME, Columns("kind", text="text")),
    "a Dataset": lambda place: load_data(Items()),
    "a CSV": csv,
    "an npz": npz,
}


@pytest.mark.parametrize("form", FORMS)
def test_texts_are_the_same_in_every_form(form: str, tmp_path: Path) -> None:
    data, known = FORMS[form](tmp_path), load_data((TEXTS, KINDS))
    assert data.digest() == known.digest()
    assert data.inputs.n_words > 2


def test_one_text_of_a_million_letters_does_not_make_room_for_as_many_in_every_row() -> None:
    data = load_data((["word " * 10**6, *TEXTS[1:]], KINDS))
    assert len(data.y) == ROWS


def test_numbers_of_words_in_an_npz_are_words_where_that_is_said(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", x=np.arange(ROWS * 2).reshape(ROWS, 2) % 7, y=KINDS)
    assert load_data(tmp_path / "w.npz", Columns(words=True)).inputs.n_words == 7
    assert load_data(tmp_path / "w.npz").inputs.n_words == 0


def test_other_columns_are_left_out_and_named() -> None:
    data = load_data(FRAME, Columns("kind", text="text", group="who"))
    assert "Columns left out, as 'text' alone is learned from: other." in map(str, data.notes)
    assert data.groups is not None


def test_a_sequence_of_numbers_is_taken_as_it_is() -> None:
    x = np.random.default_rng(0).normal(size=(ROWS, 5, 3))
    inputs = load_data((x, KINDS)).inputs
    assert inputs.shape == (5, 3)
    np.testing.assert_array_equal(inputs.encoder(np.arange(9))(inputs), x.astype(np.float32))


ARMS = (
    Arm("none", "none"),
    Arm("words", "input dropout", input_rate=0.2),
    Arm("tokens", "token dropout", rate=0.2, method="token_dropout"),
    Arm("R-Drop", "R-Drop", rate=0.2, r_drop=1.0),
)


def test_texts_are_studied_to_their_sealed_part(tmp_path: Path) -> None:
    result = dropkit.study((TEXTS, KINDS), arms=ARMS, pairs=6, epochs=20, workers=1, out=tmp_path, quiet=True)
    assert (result.plan.model.name, result.plan.data.input_shape) == ("text", (5,))
    assert not any(run.failure for run in result.runs)
    errors = {each.arm.name: each.select.error for each in result.arms}
    assert max(errors.values()) < result.plan.data.guess_error / 2
    assert {each.arm for each in result.sealed} == {arm.name for arm in ARMS}


def test_the_search_offers_what_means_something_for_words(tmp_path: Path) -> None:
    plan = dropkit.study((TEXTS, KINDS), workers=1, out=tmp_path, quiet=True, dry_run=True).plan
    assert {"input dropout", "token dropout", "dropout", "R-Drop"} <= {*plan.search.families}
    assert "augmentation" not in plan.search.families
    with pytest.raises(DropkitError, match="must take words"):
        dropkit.study((TEXTS, KINDS), model="mlp", out=tmp_path)
