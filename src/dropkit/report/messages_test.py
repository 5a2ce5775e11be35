import re
from collections.abc import Iterator
from pathlib import Path
from string import Formatter
from typing import Any

import pytest

import dropkit
from dropkit.core.check import DropkitError
from dropkit.experiments.families import UNREGULARISED
from dropkit.experiments.question_zero import size_arms
from dropkit.methods import catalogue
from dropkit.report.messages import Messages, messages

SOURCES = Path(dropkit.__file__).parent
# Their ends are what a record holds.
OF_RECORDS = (
    "arm.",
    "setting.",
    "outcome.",
    "task.",
    "mode.",
    "schedule.",
    "score.",
    "brought.",
    "shown.",
    *("caveat.resampled", "plan.resampled"),
)


def forms(text: Any) -> list[str]:
    return [text] if isinstance(text, str) else list(text.values())


def placeholders(text: object) -> set[str]:
    return {name for form in forms(text) for _, name, _, _ in Formatter().parse(form) if name}


def test_both_languages_say_the_same_things_of_the_same_values() -> None:
    english, chinese = messages("en").texts, messages("zh").texts
    assert english.keys() == chinese.keys()
    differ = [key for key in english if placeholders(english[key]) != placeholders(chinese[key])]
    assert differ == []


def test_plural_forms_are_those_of_the_language() -> None:
    plural = {key: text for key, text in messages("en").texts.items() if not isinstance(text, str)}
    assert plural
    for key, text in plural.items():
        assert set(text) == {"one", "other"}
        assert set(messages("zh").texts[key]) == {"other"}


def test_no_chinese_message_holds_an_english_sentence() -> None:
    texts = [form for text in messages("zh").texts.values() for form in forms(text)]
    assert [text for text in texts if re.search(r"[a-z]+ [a-z]+ [a-z]+", text)] == []


def sources() -> Iterator[str]:
    for folder in ("report", "experiments"):
        for path in (SOURCES / folder).rglob("*"):
            if path.suffix in (".py", ".j2") and not path.name.endswith("_test.py"):
                yield path.read_text("utf-8")


def asked(text: str) -> tuple[set[str], list[str]]:
    """Keys that are written out, and patterns of those that are put together from what a record holds."""
    whole = set(re.findall(r"""["']([a-z_]+(?:\.[a-z_]+)?)["']""", text))
    built = re.findall(r"""f["']([a-z_]+\.[^"']*\{[^"']*)["']""", text)
    patterns = [re.sub(r"\\{.*\\}", ".+", re.escape(each)) for each in built]
    patterns += [re.escape(each) + ".+" for each in re.findall(r'"([a-z_]+\.)" ~', text)]
    patterns += [rf"{kind}\..+" for kind in re.findall(r'name\("([a-z]+)"', text)]
    return whole, patterns


def test_every_message_that_is_asked_for_exists_and_none_is_left_over() -> None:
    text = "\n".join(sources())
    known = set(messages("en").texts)
    called = set(re.findall(r"""say\(\s*["']([a-z_]+(?:\.[a-z_]+)?)["']""", text))
    assert called - known == set()
    whole, patterns = asked(text)
    built = re.compile("|".join(patterns))
    left = [key for key in sorted(known - whole) if not key.startswith(OF_RECORDS)]
    assert [key for key in left if not (built.fullmatch(key) and tails(key) & whole)] == []


def tails(key: str) -> set[str]:
    """What stands in the source where the head of a key is put before it."""
    tail = key.partition(".")[2]
    return {tail, tail.rpartition("_")[2], tail.partition("_")[0]}


def test_every_method_that_is_tried_and_every_setting_has_a_name() -> None:
    known = messages("en").texts
    tried = [name for name, method in catalogue().items() if method.study]
    assert {f"arm.{name.replace('_', ' ')}" for name in tried} <= set(known)
    assert {f"arm.{arm.name}" for arm in size_arms(UNREGULARISED)} <= set(known)


def test_numbers_choose_their_form() -> None:
    say = Messages("en")
    assert [say("count.times", n=n) for n in (0, 1, 2)] == ["0 times", "once", "2 times"]
    assert Messages("zh")("count.pairs", n=1) == "1 对"


def test_chinese_and_latin_letters_have_a_space_between_but_a_given_name_is_left_alone() -> None:
    say = Messages("zh")
    assert say.listed(["甲", "B", "C丙"]) == "甲、B 和 C丙"
    assert say("brought.worse", score="NLL", back="从 2 变为 1").endswith("NLL 从 2 变为 1。")
    found = say("terminal.found", runs="1 次", all=9, place="/数据a")
    assert found == "最多 9 次训练；在 /数据a 找到 1 次，直接使用。"


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(DropkitError, match=r"lang .* got 'de'"):
        Messages("de")


def test_a_missing_value_is_an_error() -> None:
    with pytest.raises(KeyError):
        Messages("en")("move", old="1")
