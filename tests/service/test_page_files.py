"""The graders' page as files: nothing that a strict policy refuses, nothing from elsewhere, every word in one file."""

import json
import re
from importlib.resources import files

import pytest

PAGE = files("fundusseg") / "service" / "page"
TEXTS = {file.name: file.read_text() for file in PAGE.iterdir() if file.is_file()}
SCRIPTS = {name: text for name, text in TEXTS.items() if name.endswith(".js")}
HTML = TEXTS["index.html"]
STRINGS = json.loads(TEXTS["strings.en.json"])


def test_the_page_holds_nothing_inline():
    assert re.findall(r"<script(?![^>]*\bsrc=)", HTML) == []
    assert re.findall(r"<style|\sstyle=|\son\w+=", HTML) == []
    assert re.findall(r"\beval\(|new Function|innerHTML|outerHTML|insertAdjacentHTML", "".join(SCRIPTS.values())) == []


def test_nothing_is_fetched_from_elsewhere():
    addresses = {address for text in TEXTS.values() for address in re.findall(r"\bhttps?://[^\s\"')]+", text)}
    assert addresses == {"http://www.w3.org/2000/svg"}


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_a_module_is_short_and_imports_what_is_there(name):
    assert len(SCRIPTS[name].splitlines()) <= 250
    assert max(map(len, SCRIPTS[name].splitlines())) <= 120
    for imported in re.findall(r'from "\./([^"]+)"', SCRIPTS[name]):
        assert imported in SCRIPTS


def test_every_string_is_there_and_every_one_is_used():
    # A template's fixed beginning stands for all keys that begin so.
    said = "".join(SCRIPTS.values())
    begun = tuple(re.findall(r"say\(`([^`$]+)\$\{", said))
    used = set(re.findall(r'(?:say|list)\("([^"]+)"', said)) | set(
        re.findall(r'data-(?:say|label|hint)="([^"]+)"', HTML)
    )
    assert used <= set(STRINGS)
    # A word that a condition or a table chooses stands between quotes of its own.
    chosen = set(re.findall(r'"([^"\n]+)"', said))
    assert {key for key in STRINGS if key not in used | chosen and not key.startswith(begun)} == set()


def test_every_button_and_every_key_has_a_command():
    commands = set(re.findall(r"^    (?:async )?(\w+)(?:\(\) \{|: )", TEXTS["commands.js"], re.MULTILINE))
    buttons = set(re.findall(r'data-command="(\w+)"', HTML))
    keys = set(re.findall(r'\["[^"]+", "(\w+)"\]', TEXTS["keyboard.js"]))
    assert buttons <= commands
    assert {key for key in keys if not key.startswith("digit")} <= commands
    assert commands <= buttons | keys | {"lessContrast", "moreContrast", "resetLight"}


def test_what_has_no_words_has_a_label():
    for tag in re.findall(r"<(?:button|div id|ol|nav|aside|svg id)[^>]*>", HTML):
        if "role=" in tag or tag.startswith(("<nav", "<aside")):
            assert "data-label" in tag, tag
    for button in re.findall(r"<button[^>]*>[^<\w]*</button>", HTML):
        assert "data-say" in button or "data-label" in button or 'id="who"' in button, button
