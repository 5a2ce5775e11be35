"""Look at the report of a study in a real browser: `python -m tools.look DIR [OUT]`, else into build/look.

Draws the page in every language, takes pictures of it wide, narrow, dark and printed, and asks axe-core what
stands in the way of a reader. It ends with 1 where it finds something.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from dropkit.cli.report import report
from dropkit.report.messages import LANGUAGES

__all__ = ["look", "problems"]

_WIDE, _PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
_PAPER = {"width": 680, "height": 960}  # what the margins leave of A4, in CSS pixels
LOOKS: Mapping[str, Mapping[str, Any]] = {
    "wide": {"viewport": _WIDE},
    "narrow": {"viewport": _PHONE, "device_scale_factor": 2},
    "dark": {"viewport": _WIDE, "color_scheme": "dark"},
    "printed": {"viewport": _PAPER},
}
_CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "chrome")


def main(arguments: list[str]) -> int:
    """Take the pictures, print what was found."""
    if not 1 <= len(arguments) <= 2:
        sys.exit("write `python -m tools.look DIR [OUT]`, DIR being the folder of a study")
    chromium = next(filter(None, map(shutil.which, _CHROMIUM)), None)
    if chromium is None:
        sys.exit("no Chromium on this machine, so nothing was looked at: apt-get install chromium")
    out = Path((*arguments, "build/look")[1])
    found = list(look(Path(arguments[0]), out, chromium))
    print(*found, f"{len(found)} problems; pictures are in {out}", sep="\n")
    return int(bool(found))


def look(folder: Path, out: Path, chromium: str) -> Iterator[str]:
    """Pictures of the report in every language, and what is wrong with it.

    Args:
        folder: of a study.
        out: where pages and pictures go; made if need be.
        chromium: the browser to look with.
    """
    out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium)
        for lang in LANGUAGES.words:
            page = out / f"{lang}.html"
            report([str(folder)], page, lang)
            for name in LOOKS:
                yield from (f"{lang}, {name}: {each}" for each in problems(browser, page, name))
        browser.close()


def problems(browser: Browser, page: Path, name: str) -> list[str]:
    """What is wrong with a page in one look; its picture is left beside it."""
    with browser.new_context(**LOOKS[name]) as context:
        shown, asked = context.new_page(), list[str]()
        shown.on("request", lambda request: asked.append(request.url))
        shown.goto(page.resolve().as_uri())
        if name == "printed":
            shown.pdf(path=page.with_suffix(".pdf"), format="A4", prefer_css_page_size=True)
            shown.emulate_media(media="print")
        else:
            shown.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        shown.screenshot(path=page.with_name(f"{page.stem}-{name}.png"), full_page=True)
        strangers = [f"asks for {url}" for url in asked if not url.startswith(("file:", "data:"))]
        return [*strangers, *_overflow(shown), *_cut(shown, name), *_outside(shown), *_violations(shown)]


def _overflow(page: Page) -> list[str]:
    wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return [f"is {wider} pixels wider than its window"] if wider > 0 else []


def _cut(page: Page, name: str) -> list[str]:
    """Tables whose last columns are out of sight; only on a phone may they be scrolled."""
    if name == "narrow":
        return []
    cut = "[...document.querySelectorAll('.wide')].filter(each => each.scrollWidth > each.clientWidth)"
    captions = page.evaluate(f"{cut}.map(each => each.innerText.split('\\n')[0])")
    return [f"hides columns of the table {caption!r}" for caption in captions]


def _outside(page: Page) -> list[str]:
    """Words of a picture that stand outside it, where nobody sees them."""
    words = page.evaluate(
        """[...document.querySelectorAll('svg')].flatMap(svg => {
            const frame = svg.getBoundingClientRect()
            return [...svg.querySelectorAll('text')].filter(text => {
                const box = text.getBoundingClientRect()
                return box.left < frame.left - 1 || box.right > frame.right + 1
            }).map(text => text.textContent.trim())
        })"""
    )
    return [f"writes {each!r} outside of its picture" for each in words]


def _violations(page: Page) -> list[str]:
    return [
        f"{each['id']} ({each['impact']}): {each['help']}: "
        + ", ".join(str(node["target"][0]) for node in each["nodes"])
        for each in Axe().run(page).response["violations"]
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
