import json
import re
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import dropkit
from dropkit.cli.app import app
from dropkit.cli.show import code
from dropkit.core.drop import Drop
from dropkit.core.method import Method
from dropkit.methods import catalogue

every_method = pytest.mark.parametrize("method", catalogue().values(), ids=catalogue().keys())


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["show", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


@every_method
def test_the_page_has_everything(method: Method) -> None:
    page = run(method.name)
    words = " ".join(page.split())
    for part in (method.summary, method.formula, method.paper.title, method.good_for, method.bad_for):
        assert " ".join(part.split()) in words
    assert method.paper.url in page
    assert re.search(rf"from dropkit\.torch import .*\b{method.layers['torch']}\b", page)
    assert ("from dropkit.keras import" in page) == ("keras" in method.layers)
    assert f"checked against: {' '.join(method.paper.checked.split())}" in words
    assert "█" in page
    assert "\x1b" not in page


@every_method
def test_the_code_runs(method: Method) -> None:
    pytest.importorskip("torch", reason="PyTorch is an optional package")
    names: dict[str, object] = {}
    exec(code(method, dict(method.example.arguments)), names)
    assert method.layers["torch"] in names


@every_method
def test_imports_stand_in_one_block_at_the_top_each_module_once(method: Method) -> None:
    head, _, body = code(method, dict(method.example.arguments)).partition("\n\n")
    lines = head.splitlines()
    assert all(line.startswith(("import ", "from ")) for line in lines)
    modules = [tuple(line.split()[:2]) for line in lines]
    assert len(set(modules)) == len(modules)
    assert not re.search(r"^(import|from) ", body, re.MULTILINE)


def ran(name: str) -> dict[str, Any]:
    """The names that the sample of a method leaves behind."""
    names: dict[str, Any] = {}
    method = catalogue()[name]
    exec(code(method, dict(method.example.arguments)), names)
    return names


def test_samples_teach_no_wrong_habit() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is an optional package")
    torch.manual_seed(0)
    assert ran("sparse_variational_dropout")["layer"].pruned.float().mean() < 0.3
    assert ran("dropout_distillation")["student"].training
    critic = ran("ct_gan")["Critic"]
    assert critic().last is not critic().last
    passes = ran("monte_carlo_drop_block")["passes"]
    assert (passes == passes[0]).float().mean() > 0.5  # one input: most places are kept in most passes
    assert ran("layer_skip")["loss"].requires_grad


def test_an_alias_shows_the_method() -> None:
    assert run("stochastic_depth") == run("drop_path")


def test_the_rate_moves_formula_code_and_mask() -> None:
    page = run("dropout", "--rate", "0.25")
    assert "layer = Dropout(0.25)" in page
    assert "times 1.33" in page


def test_the_key_addresses_the_mask() -> None:
    assert run("dropout", "--key", "1") == run("dropout", "--key", "1")
    assert run("dropout", "--key", "1") != run("dropout", "--key", "2").replace("key 2", "key 1")


def test_json_replays_the_mask() -> None:
    data = json.loads(run("drop_block", "--json", "--key", "11", "--rate", "0.3"))
    example = data["example"]
    drop = Drop.from_json(json.dumps(example["description"]))
    replayed = dropkit.mask(example["key"], example["shape"], drop)
    assert np.array_equal(replayed, example["mask"])
    assert example["arguments"] == {"rate": 0.3, "block_size": 4}
    assert data["name"] == "drop_block"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("dropblok",), "did you mean 'dropblock'?"),
        (("zoneoot",), "did you mean 'zoneout'?"),
        (("nope",), "got 'nope'; `dropkit methods` lists them\n"),
        (("dropout", "--rate", "1.5"), "rate must be a number in [0, 1], got 1.5"),
        (("dropout", "--rate", "nan"), "rate must be a number in [0, 1], got nan"),
        (("dropout", "--key", "-1"), "key must be a whole number of at least 0"),
        (("dropout", "--rate", "half"), "Invalid value for '--rate'"),
    ],
)
def test_what_is_wrong_is_said_with_exit_code_2(arguments: tuple[str, ...], message: str) -> None:
    result = CliRunner().invoke(app, ["show", *arguments])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert message in result.stderr
    assert "Traceback" not in result.stderr
