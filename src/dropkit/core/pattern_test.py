import pickle

import pytest

from dropkit.core.check import DropkitError
from dropkit.core.pattern import Axis, PatternError, parse


@pytest.mark.parametrize(
    ("text", "left", "right"),
    [
        ("b c h w -> b c", [["b"], ["c"], ["h"], ["w"]], ("b", "c")),
        ("b c->c b", [["b"], ["c"]], ("c", "b")),
        ("b ... -> b", [["b"], ["..."]], ("b",)),
        ("b t d -> ", [["b"], ["t"], ["d"]], ()),
        ("... ->", [["..."]], ()),
        ("...", [["..."]], ("...",)),
        ("b t", [["b"], ["t"]], ("b", "t")),
        ("b (h d) -> h", [["b"], ["h", "d"]], ("h",)),
        ("  b\tc ", [["b"], ["c"]], ("b", "c")),
        ("_a1 B", [["_a1"], ["B"]], ("_a1", "B")),
        ("->", [], ()),
        ("", [], ()),
    ],
)
def test_reads(text: str, left: list[list[str]], right: tuple[str, ...]) -> None:
    parsed = parse(text)
    assert [[axis.name for axis in axes] for axes in parsed.left] == left
    assert parsed.right == right
    assert parsed.names == tuple(name for axes in left for name in axes)


def test_numbers_are_sizes_without_a_name() -> None:
    parsed = parse("b (h 4) 3")
    assert parsed.left[1:] == ((Axis("h", None, 3), Axis(None, 4, 5)), (Axis(None, 3, 8),))
    assert parsed.names == ("b", "h")
    assert parsed.right == parsed.labels == ("b", "h", "#5", "#8")


# text, what the caret stands under (the column), a piece of the message
ERRORS = [
    ("b c -> b -> c", 9, "at most one '->'"),
    ("b c! -> b", 3, "cannot hold '!'"),
    ("b 4h -> b", 2, "cannot hold '4'"),
    ("b .. -> b", 2, "cannot hold '.'"),
    ("b, c", 1, "cannot hold ','"),
    ("b - > b", 2, "cannot hold '-'"),
    ("b c -> d", 7, "no axis 'd' on the left"),
    ("b c -> ...", 7, "no axis '...' on the left"),
    ("-> b", 3, "no axis 'b' on the left"),
    ("b c b -> b", 4, "not 'b' twice"),
    ("b (c b) -> b", 5, "not 'b' twice"),
    ("b c -> c b c", 11, "not 'c' twice"),
    ("... b ... -> b", 6, "not '...' twice"),
    ("b ... -> ... b ...", 15, "not '...' twice"),
    ("b (h 4 -> b", 2, "closes every bracket"),
    ("b h) -> b", 3, "names in every pair of brackets"),
    ("b () -> b", 3, "names in every pair of brackets"),
    ("b (h (w d)) -> b", 5, "cannot nest brackets"),
    ("b (h ...) -> b", 5, "cannot hold '...' in brackets"),
    ("b (h 0) -> b", 5, "sizes of at least 1"),
    ("b 0", 2, "sizes of at least 1"),
    ("b h -> (b h)", 7, "cannot hold '(' right of '->'"),
    ("b 3 -> 3", 7, "cannot hold '3' right of '->'"),
]


@pytest.mark.parametrize(("text", "at", "message"), ERRORS)
def test_refuses_with_a_caret_under_the_place(text: str, at: int, message: str) -> None:
    with pytest.raises(PatternError) as caught:
        parse(text)
    head, shown, caret = str(caught.value).splitlines()
    assert head.startswith("pattern ")
    assert message in head
    assert f"got {text!r}; " in head
    assert shown == f"    {text}"
    assert caret == "    " + " " * at + "^"
    assert (caught.value.text, caught.value.at) == (text, at)


def test_suggests_the_axis_that_was_meant() -> None:
    with pytest.raises(PatternError, match=r"did you mean 'head'\?"):
        parse("batch head -> haed")
    with pytest.raises(PatternError, match="leave it out"):
        parse("-> b")


@pytest.mark.parametrize("text", [None, 5, ["b", "c"], {"b": 1}])
def test_a_pattern_is_text(text: object) -> None:
    with pytest.raises(DropkitError, match=r"^pattern must be a str, got .*; write e\.g\. 'b c h w -> b c'"):
        parse(text)  # type: ignore[arg-type]  # what is refused is the point


def test_errors_travel_between_processes() -> None:
    error = PatternError("b c -> d", 7, "has no axis 'd'", "leave it out")
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == str(error)
    assert copy.at == 7
