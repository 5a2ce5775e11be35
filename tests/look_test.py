"""The looks at a report see what is wrong with a page."""

import shutil
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright
from tools import look

CHROMIUM = next(filter(None, map(shutil.which, look._CHROMIUM)), None)
HEAD = "<html lang='en'><head><title>a</title></head>"
SOUND = HEAD + "<body><main><h1>a</h1><p{}>some words</p></main></body></html>"


@pytest.mark.skipif(CHROMIUM is None, reason="looks at pages need a browser: apt-get install chromium")
@pytest.mark.parametrize(
    ("style", "wrong"),
    [
        ("", ""),
        (" style='width: 3000px'", "wider than its window"),
        (
            "></p><div class='wide' tabindex='0' style='overflow: auto'><p style='width: 3000px'",
            "hides columns",
        ),
        (
            "></p><svg role='img' aria-label='a' width='90' height='20'>"
            "<text x='60' y='15' fill='currentColor'>some words</text></svg><p",
            "writes 'some words' outside",
        ),
        (" style='color: #ddd; background: #fff'", "color-contrast"),
        ("><img src='http://127.0.0.1:9/a.png' alt=''", "asks for http://127.0.0.1:9/a.png"),
    ],
)
def test_what_is_wrong_with_a_page_is_seen(tmp_path: Path, style: str, wrong: str) -> None:
    page = tmp_path / "en.html"
    page.write_text(SOUND.format(style))
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM)
        found = look.problems(browser, page, "dark")
        browser.close()
    assert len(found) == bool(wrong)
    assert wrong in "".join(found)
    assert (tmp_path / "en-dark.png").read_bytes().startswith(b"\x89PNG")


def test_no_browser_is_said_plainly(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(look, "_CHROMIUM", ("no such browser",))
    with pytest.raises(SystemExit, match="no Chromium on this machine"):
        look.main([str(tmp_path)])
