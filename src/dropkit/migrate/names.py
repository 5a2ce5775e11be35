"""Which function a name in Python source means, told from the imports, without importing anything."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

__all__ = ["Scope", "Use", "dotted", "uses"]

# Bounds for source that was written to waste time: of meanings of one name, and of steps to resolve it.
_MEANINGS, _STEPS = 8, 32

# Places inside of packages under which the same thing is offered again.
_HIDDEN = re.compile(
    r"(?<=^torch\.nn)\.modules(\.dropout)?(?=\.)"
    r"|(?<=^tensorflow)\.(compat\.v2|(compat\.v1|python|_api\.v2)(?=\.keras))(?=\.)"
    r"|(?<=keras)\.(api|src)(?=\.)"
    r"|(?<=keras\.layers)\.(core|regularization)(\.\w+)?(?=\.)"
)


@dataclass
class Scope:
    """The names of a module, class or function, each with what it may mean.

    A meaning is the full name of something imported, or, behind a "=", a name to be looked up in turn; a name
    without a meaning is something else, whatever it means outside.
    """

    outer: Scope | None = None
    meanings: dict[str, list[str]] = field(default_factory=dict)
    stars: list[str] = field(default_factory=list)

    def bind(self, name: str, *meaning: str) -> None:
        """Add a meaning to a name, or take away those from outside."""
        known = self.meanings.setdefault(name, [])
        if len(known) < _MEANINGS:
            known.extend(meaning)

    def resolve(self, name: str) -> list[str]:
        """Return the full names that a dotted name may mean, first those bound first.

        >>> scope = Scope(meanings={"tf": ["tensorflow.compat.v1"], "nn": ["=tf.nn"]})
        >>> scope.resolve("nn.dropout")
        ['tensorflow.compat.v1.nn.dropout']
        """
        waiting, found = [name], dict[str, None]()
        for _ in range(_STEPS):
            if not waiting:
                break
            for meaning in self._step(waiting.pop(0)):
                if meaning.startswith("="):
                    waiting.append(meaning[1:])
                else:
                    found[_HIDDEN.sub("", meaning)] = None
        return list(found)

    def _step(self, name: str) -> Iterator[str]:
        head, dot, rest = name.partition(".")
        scope: Scope | None = self
        while scope is not None:
            if head in scope.meanings:
                yield from (meaning + dot + rest for meaning in scope.meanings[head])
                return
            yield from (f"{module}.{name}" for module in scope.stars[:_MEANINGS])
            scope = scope.outer


def dotted(node: ast.expr) -> str:
    """Return the name that an expression writes, or nothing if it is more than names and dots."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


@dataclass(frozen=True)
class Use:
    """A place where a name is used: called, or passed on as it is or by `functools.partial`."""

    node: ast.expr
    """Where it stands: the call, or the name that is passed on."""
    names: list[str]
    """The full names that it may have, first those bound first."""
    call: ast.Call | None
    """The call with its arguments; for `functools.partial` those that it holds, else None."""

    @property
    def passed(self) -> bool:
        """Whether it is not called here."""
        return self.node is not self.call


def uses(tree: ast.Module) -> list[Use]:
    """Return every call of a name and every name that is passed on, in the order of the source.

    Passed on is what stands where any value could. A base class, annotation, comparison, `isinstance` and,
    outside of classes, a plain assignment, which is followed instead, pass nothing on.
    """
    found: list[tuple[ast.expr, ast.expr, ast.Call | None, Scope]] = []
    asked: set[ast.AST] = set()
    # No recursion: source may be as deep as the parser lets it be.
    waiting: list[tuple[ast.AST, Scope]] = [(tree, Scope())]
    while waiting:
        node, scope = waiting.pop()
        if isinstance(node, ast.Call):
            found.append((node, node.func, node, scope))
        inner = _bind(node, scope)
        asked.update(_asked(node))
        if node not in asked:
            found.extend((each, each, None, inner) for each in _passed(node))
        # The first in the source is the next: what is bound first is the first meaning.
        waiting.extend((child, inner) for child in reversed([*ast.iter_child_nodes(node)]))
    found.sort(key=lambda use: (use[0].lineno, use[0].col_offset))
    return _resolved(found)


def _resolved(found: list[tuple[ast.expr, ast.expr, ast.Call | None, Scope]]) -> list[Use]:
    known: dict[tuple[int, str], list[str]] = {}
    partial: dict[ast.expr, ast.Call] = {}
    result = []
    for node, named, call, scope in found:
        name = dotted(named)
        if not name:
            continue
        place = id(scope), name
        if place not in known:
            known[place] = scope.resolve(name)
        names = known[place]
        if call is not None and "functools.partial" in names and any(map(_is_name, call.args[:1])):
            partial[call.args[0]] = ast.Call(call.args[0], call.args[1:], call.keywords)
        result.append(Use(node, names, partial.get(node, call)))
    return result


def _asked(node: ast.AST) -> list[ast.AST]:
    """Return what a node asks about, or names as types, and does not pass on."""
    if isinstance(node, ast.Compare):
        return [node.left, *node.comparators]
    if isinstance(node, ast.Subscript):
        return [node.slice]
    if isinstance(node, ast.Call) and dotted(node.func) in ("isinstance", "issubclass"):
        return [node, *node.args]
    return []


def _passed(node: ast.AST) -> list[ast.expr]:
    """Return the names that a node passes on."""
    values: list[ast.expr | None] = []
    if isinstance(node, ast.Call):
        values = [*node.args, *(keyword.value for keyword in node.keywords)]
    elif isinstance(node, ast.List | ast.Tuple | ast.Set):
        values = [*node.elts]
    elif isinstance(node, ast.Dict | ast.BoolOp):
        values = [*node.values]
    elif isinstance(node, ast.arguments):
        values = [*node.defaults, *node.kw_defaults]
    elif isinstance(node, ast.IfExp):
        values = [node.body, node.orelse]
    elif isinstance(node, ast.Lambda):
        values = [node.body]
    elif isinstance(node, ast.ClassDef):
        # What a class keeps is reached through its objects.
        values = [each.value for each in node.body if isinstance(each, ast.Assign)]
    elif isinstance(node, ast.Return | ast.Starred | ast.NamedExpr | ast.AnnAssign) or (
        isinstance(node, ast.Assign) and not all(isinstance(each, ast.Name) for each in node.targets)
    ):
        values = [node.value]
    return [each for each in values if each is not None and _is_name(each)]


def _is_name(node: ast.expr) -> bool:
    return isinstance(node, ast.Name | ast.Attribute)


def _bind(node: ast.AST, scope: Scope) -> Scope:
    """Put what a node binds into its scope, and return the scope of what it contains."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            root = alias.name.partition(".")[0]
            scope.bind(alias.asname or root, alias.name if alias.asname else root)
    elif isinstance(node, ast.ImportFrom):
        _bind_from(node, scope)
    elif isinstance(node, ast.Assign):
        name = dotted(node.value)
        for target in node.targets:
            if name and isinstance(target, ast.Name):
                scope.bind(target.id, f"={name}")
    elif isinstance(node, ast.ClassDef):
        scope.bind(node.name)
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        if not isinstance(node, ast.Lambda):
            scope.bind(node.name)
        return _function(node.args, scope)
    return scope


def _bind_from(node: ast.ImportFrom, scope: Scope) -> None:
    for alias in node.names:
        # What comes from the checked package itself is unknown.
        meaning = [] if node.level or not node.module else [f"{node.module}.{alias.name}"]
        if alias.name != "*":
            scope.bind(alias.asname or alias.name, *meaning)
        elif meaning and node.module:
            scope.stars.append(node.module)


def _function(arguments: ast.arguments, scope: Scope) -> Scope:
    inner = Scope(outer=scope)
    several = [arguments.vararg, arguments.kwarg]
    for each in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *several]:
        if each is not None:
            inner.bind(each.arg)
    return inner
