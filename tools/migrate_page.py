"""The tables and the output on docs/migrate.md: `python -m tools.migrate_page` writes them again."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from dropkit.migrate import CONVENTIONS, Convention

__all__ = ["PAGE", "files", "page"]

PAGE = Path(__file__).parents[1] / "docs" / "migrate.md"

# The frameworks of the article and of China first, then the others.
_FIRST = (
    *("torch", "torch function", "torch attention", "tensorflow 2", "tensorflow 2 stateless"),
    *("tensorflow 1", "tensorflow 1 layers", "keras", "caffe", "mindspore", "mindspore keep_prob"),
    *("mindspore function", "paddle", "paddle function", "paddle 1", "paddle 1 layer", "mxnet", "gluon"),
    "torch7",
)
_NO_PYTHON = {"torch7": "nn.Dropout (Lua)"}
_SCALES = {"train": "training", "eval": "evaluation", "none": "nowhere"}
_AXES = {"own": "have coins of their own", "shared": "share a coin", "shape": "shape of the mask, 1 shares"}
_OURS = """
`dropkit.drop` | `rate` dropped | none | training; `scale='eval'`: evaluation; `scale='none'`: nowhere | \
at every call unless mode='eval' | a pattern: `'b c h w -> b c'`
`dropkit.torch.Dropout` | `p` dropped | 0.5 | training; `scale='eval'`: evaluation; \
`scale='none'`: nowhere | in training mode, which is the default | `dropkit.torch.Drop`: a pattern
`dropkit.keras.Dropout` | `rate` dropped | none | training; `scale='eval'`: evaluation; \
`scale='none'`: nowhere | with training=True: in fit, not in predict | \
`noise_shape`: shape of the mask, 1 shares
"""


def main() -> int:
    """Write the page."""
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


def page(text: str) -> str:
    """Return the page with its tables and the output of its commands as they are today."""
    for name, lines in (("table", _table()), ("traps", _traps())):
        text = re.sub(
            rf"(<!-- {name} -->\n).*?(<!-- end -->)",
            lambda found, lines=lines: found[1] + "\n" + "\n".join(lines) + "\n\n" + found[2],  # type: ignore[misc]  # the default binds the loop's
            text,
            flags=re.DOTALL,
        )
    written = files(text)
    return re.sub(
        r"(```console\n\$ dropkit )([^\n]*)\n.*?```",
        lambda found: f"{found[1]}{found[2]}\n{_said(found[2].split(), written)}```",
        text,
        flags=re.DOTALL,
    )


def files(text: str) -> dict[str, str]:
    """Return the files on a page, by their names: blocks whose first line is a comment with the name."""
    blocks = re.findall(r"```\w+\n(# (\w+\.\w+)\n.*?)```", text, re.DOTALL)
    return {name: code for code, name in blocks}


def _table() -> Iterator[str]:
    yield "| name here | call | its number | default | the factor is in | draws | axes |"
    yield "|---|---|---|---|---|---|---|"
    for known in _ordered():
        cells = (f"[{known.name}]({known.source})", f"`{_call(known)}`", *_number(known), known.active)
        yield f"| {' | '.join((*cells, _axes(known)))} |"
    for ours in _OURS.strip().splitlines():
        yield f"| **dropkit** | {ours} |"


def _traps() -> Iterator[str]:
    yield "| name here | mind |"
    yield "|---|---|"
    for known in _ordered():
        yield f"| {known.name} | {known.trap} |"


def _ordered() -> list[Convention]:
    return [CONVENTIONS[name] for name in (*_FIRST, *(name for name in CONVENTIONS if name not in _FIRST))]


def _call(known: Convention) -> str:
    return next(iter(known.calls), _NO_PYTHON.get(known.name, ""))


def _number(known: Convention) -> tuple[str, str, str]:
    means = "dropped" if known.means == "drop" else "**kept**"
    default = "none" if known.default is None else f"{known.default:g}"
    moved = [
        f"`{known.switch}={value!r}`: {_SCALES[scale]}"
        for value, scale in known.scales.items()
        if scale != known.scale
    ]
    return f"`{known.argument}` {means}", default, "; ".join((_SCALES[known.scale], *moved))


def _axes(known: Convention) -> str:
    return f"`{known.axes}`: {_AXES[known.axes_are]}" if known.axes_are else ""


def _said(arguments: list[str], written: dict[str, str]) -> str:
    """Return what a command prints, run beside the files."""
    with tempfile.TemporaryDirectory() as folder:
        for name, code in written.items():
            Path(folder, name).write_text(code, encoding="utf-8")
        command = [sys.executable, "-c", "from dropkit.cli import main; main()", *arguments]
        env = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert not done.stderr, done.stderr
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
