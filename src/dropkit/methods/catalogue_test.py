import json
import re
from pathlib import Path

import numpy as np
import pytest
from pybtex.database import Entry, parse_string
from pybtex.richtext import Text

from dropkit import methods
from dropkit.core.check import DropkitError
from dropkit.core.drop import Drop
from dropkit.core.method import Method
from dropkit.methods import squeeze

METHODS = methods.catalogue()
SENTENCE = re.compile(r"[A-Z].{30,}\.", re.DOTALL)

DESCRIBED = {name: method for name, method in METHODS.items() if method.describe}

every_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())

every_described = pytest.mark.parametrize("method", DESCRIBED.values(), ids=DESCRIBED.keys())


def entry(method: Method) -> Entry:
    (found,) = parse_string(method.paper.bibtex, "bibtex").entries.values()
    return found


def plain(latex: str) -> str:
    return str(Text.from_latex(latex))


def test_every_file_is_a_method_of_its_name() -> None:
    files = {
        path.stem for path in Path(methods.__file__).parent.glob("*.py") if not path.stem.endswith("_test")
    }
    assert files - {"__init__"} == set(METHODS)
    assert {name: method.name for name, method in METHODS.items()} == {name: name for name in METHODS}


def test_no_two_methods_share_a_name_or_an_alias() -> None:
    names = [(squeeze(name), m.name) for m in METHODS.values() for name in (m.name, *m.aliases)]
    assert len(set(names)) == len({name for name, _ in names})
    assert all(
        re.fullmatch(r"[a-z][a-z0-9_]*", name) for m in METHODS.values() for name in (m.name, *m.aliases)
    )


@every_method
def test_every_name_finds_its_method(method: Method) -> None:
    assert {methods.get(name).name for name in (method.name, *method.aliases)} == {method.name}


@pytest.mark.parametrize(
    ("name", "method"),
    [("Stochastic Depth", "drop_path"), ("dropblock-2D", "drop_block"), ("Dropout3d", "spatial_dropout")],
)
def test_capitals_and_signs_do_not_matter_and_classes_of_others_are_known(name: str, method: str) -> None:
    assert methods.get(name).name == method


def test_an_old_name_of_several_methods_is_answered_with_all() -> None:
    assert {method.name for method in methods.find("keep_prob")} >= {"dropout", "drop_block"}
    assert methods.find("keep prob")[0].name == "dropout"
    assert methods.find("squares of neighbouring")[0].name == "drop_block"
    assert methods.find("no such thing") == methods.find("") == methods.find("?") == []


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("nn.Dropout2d", "spatial_dropout"),
        ("torch.nn.Dropout", "dropout"),
        ("keras.layers.SpatialDropout2D", "spatial_dropout"),
        ("F.dropout", "dropout"),
        ("attn_pdrop", "attention_dropout"),
        ("resid_pdrop", "dropout"),
        ("embd_pdrop", "dropout"),
        ("dropout_rate", "dropout"),
        ("activation_dropout", "dropout"),
        ("retain_prob", "dropout"),
        ("mask_feature_prob", "spec_augment"),
        ("naive dropout", "gal_dropout"),
    ],
)
def test_a_name_of_another_library_finds_its_method_also_behind_its_module(name: str, method: str) -> None:
    assert methods.find(name)[0].name == methods.get(name).name == method


def test_a_name_of_several_methods_is_refused_with_what_it_means_in_each() -> None:
    meaning = r"dropout \(the probability that an entry is kept .*\), drop_activation \("
    assert methods.find("drop_rate")[0].name == "dropout"
    with pytest.raises(DropkitError, match=rf"got 'keep_prob'; choose from {meaning}"):
        methods.get("keep_prob")


@every_method
def test_an_old_name_is_explained_and_never_takes_a_name_of_today(method: Method) -> None:
    today = {squeeze(name): m.name for m in METHODS.values() for name in (m.name, *m.aliases)}
    for name, meaning in method.old_names.items():
        assert meaning
        assert methods.get(name).name == today[squeeze(name)] if squeeze(name) in today else True
        assert method in methods.find(name)


def test_a_misspelt_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(DropkitError, match=r"got 'zoneoot'; did you mean 'zoneout'\?"):
        methods.get("zoneoot")


@every_method
def test_the_record_is_complete(method: Method) -> None:
    assert method.fields
    assert method.formula
    assert method.aliases
    assert {"torch"} <= set(method.layers) <= {"torch", "keras"}
    if method.describe is not None:
        assert "keras" in method.layers
    for text in (method.summary, method.good_for, method.bad_for, method.evidence):
        assert SENTENCE.fullmatch(text), text


@every_method
def test_brackets_are_closed(method: Method) -> None:
    texts = method.summary, method.good_for, method.bad_for, method.evidence, method.paper.checked
    assert all(text.count("(") == text.count(")") for text in texts)


@every_method
def test_the_word_of_a_record_has_a_source(method: Method) -> None:
    assert "from memory" not in method.paper.checked
    assert method.standing.endswith(method.paper.checked)


@every_method
def test_the_citation_says_what_the_record_says(method: Method) -> None:
    cited, paper = entry(method), method.paper
    assert plain(cited.fields["title"]) == paper.title
    assert int(cited.fields["year"]) == paper.year
    assert tuple(plain(str(person)) for person in cited.persons["author"]) == paper.authors
    assert {"journal", "booktitle"} & set(cited.fields)
    assert paper.url.startswith("https://")
    assert paper.venue
    assert paper.checked


def test_one_citation_key_is_one_entry() -> None:
    keys = {(entry(method).key, method.paper.bibtex) for method in METHODS.values()}
    assert len(keys) == len({key for key, _ in keys})


@every_method
def test_the_example_runs_and_shows_both_kept_and_dropped(method: Method) -> None:
    drawn = method.picture()
    assert drawn.shape == method.example.shape
    assert len(method.example.axes.split()) == drawn.ndim
    assert drawn.min() < drawn.max()
    assert np.array_equal(drawn, method.picture(7))
    assert not np.array_equal(drawn, method.picture(8))


@every_method
def test_what_is_a_variant_says_of_which_method(method: Method) -> None:
    assert not method.variant_of or not METHODS[method.variant_of].variant_of


@every_described
def test_the_description_survives_json(method: Method) -> None:
    drop = method.drop()
    assert Drop.from_json(drop.to_json()) == drop


@every_method
def test_the_record_is_plain_data(method: Method) -> None:
    data = json.loads(json.dumps(method.to_json()))
    assert data["name"] == method.name
    assert data["paper"]["year"] == method.paper.year


@every_described
@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan"), "0.5", None])
def test_every_description_refuses_a_rate_out_of_range(method: Method, rate: object) -> None:
    with pytest.raises(DropkitError, match=r"rate must be a number in \[0, 1\]"):
        method.drop(rate=rate)
