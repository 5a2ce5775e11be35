"""Write the call of dropkit that does what a foreign call does."""

from __future__ import annotations

import ast

from dropkit.migrate.conventions import Convention

__all__ = ["Source", "argument_of", "rewrite"]

_SHOWN = 60


class Source:
    """The text, by positions of the parser: lines from 1, columns in bytes of UTF-8 from 0."""

    def __init__(self, text: str) -> None:
        self.lines = [line.encode("utf-8", "replace") for line in text.split("\n")]
        self.last = (0, 0, 1)

    def column(self, node: ast.expr) -> int:
        """Return the column in characters from 1, of nodes in the order of the source."""
        # One line may hold very many calls: each counts on from the last.
        line, byte, count = self.last
        if line != node.lineno:
            byte, count = 0, 1
        count += len(self.lines[node.lineno - 1][byte : node.col_offset].decode("utf-8", "replace"))
        self.last = (node.lineno, node.col_offset, count)
        return count

    def text(self, node: ast.expr) -> str:
        """Return what is written, or "..." where that is long."""
        if node.lineno != node.end_lineno or node.end_col_offset is None:
            return "..."
        if node.end_col_offset - node.col_offset > _SHOWN:
            return "..."
        line = self.lines[node.lineno - 1]
        return line[node.col_offset : node.end_col_offset].decode("utf-8", "replace")


def argument_of(call: ast.Call, name: str, position: int | None) -> ast.expr | None:
    """Return what is given for an argument, by its name or its place."""
    for keyword in call.keywords:
        if name and keyword.arg == name:
            return keyword.value
    before = call.args if position is None else call.args[: position + 1]
    if position is None or len(before) <= position or any(isinstance(each, ast.Starred) for each in before):
        return None
    return before[position]


def rewrite(call: ast.Call, known: Convention, name: str, rate: str, scale: str, source: Source) -> str:
    """Return the code: a function of arrays, a layer, or the call as it is under our name.

    Args:
        call: the foreign call.
        known: its convention.
        name: its full name.
        rate: the share that is dropped, as code.
        scale: where the factor goes, in the words of `Drop`.
        source: the text that the call stands in.
    """
    target = known.calls[name]
    if target == "drop":
        return _drop(call, known, rate, source)
    if target.startswith("torch.functional."):
        x, training = (argument_of(call, *place) for place in (("input", 0), ("training", 2)))
        told = ["x" if x is None else source.text(x), rate]
        told.append(f"training={'self.training' if training is None else source.text(training)}")
        return f"dropkit.{target}({', '.join(told)})"
    if target.startswith("keras.") or known.optional:
        return f"dropkit.{target}({', '.join(_arguments(call, source))})"
    end = "" if scale == "train" else f', scale="{scale}"'
    # Of Paddle's layers and functions of one name only the plain ones take axes.
    pattern = _pattern(call, known, source) if target == "torch.Dropout" else ""
    if not pattern:
        return f"dropkit.{target}({rate}{end})"
    return f"dropkit.torch.Drop({rate}, {pattern}{end})"


def _drop(call: ast.Call, known: Convention, rate: str, source: Source) -> str:
    x, key = known.others.get("x", ("x", None)), known.others.get("key")
    taken = _written(call, x, source) or x[0]
    told = [taken, rate, _pattern(call, known, source, taken if taken.isidentifier() else "x")]
    for word, yes, no in (("training", "train", "eval"), ("evaluation", "eval", "train")):
        active = _written(call, known.others.get(word, ("", None)), source)
        told.append(_mode(active, yes, no))
    told.append(f"key={_written(call, key, source) or 'key'}" if key else "")
    return f"dropkit.drop({', '.join(filter(None, told))})"


def _mode(active: str, yes: str, no: str) -> str:
    if active in ("", "None", "True" if yes == "train" else "False"):
        return ""
    return 'mode="eval"' if active in ("True", "False") else f'mode="{yes}" if {active} else "{no}"'


def _pattern(call: ast.Call, known: Convention, source: Source, x: str = "x") -> str:
    recurrent = _written(call, known.others.get("recurrent", ("", None)), source)
    if recurrent not in ("", "False"):
        # TensorFlow draws one mask for all rows too.
        return '"... d -> d"' if recurrent == "True" else f'"... d -> d" if {recurrent} else "..."'
    axes = argument_of(call, known.axes, known.axes_position)
    if axes is None or (isinstance(axes, ast.Constant) and axes.value is None):
        return ""
    return f'dropkit.migrate.pattern_from("{known.name}", {source.text(axes)}, {x}.ndim)'


def _written(call: ast.Call, place: tuple[str, int | None], source: Source) -> str:
    value = argument_of(call, *place)
    return "" if value is None else source.text(value)


def _arguments(call: ast.Call, source: Source) -> list[str]:
    told = [source.text(each) for each in call.args]
    return told + [
        f"{each.arg}={source.text(each.value)}" if each.arg else f"**{source.text(each.value)}"
        for each in call.keywords
    ]
