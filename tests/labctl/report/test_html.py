"""Markup is made of values: what is text stays text."""

import json
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.report.html import Html, data, el, join, script


class Texts(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found, self.attributes = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.attributes += attrs

    def handle_data(self, words):
        self.found.append(words)


# A parser normalises these before anybody sees them; they are no way out of an element.
PLAIN = st.text(st.characters(exclude_characters="\r\x00", exclude_categories=("Cs",)))


@given(PLAIN, PLAIN)
def test_any_text_comes_back_as_text(inside, attribute):
    seen = Texts(el("p", inside, title=attribute))
    assert "".join(seen.found) == inside
    assert seen.attributes == [("title", attribute)]


@given(st.recursive(PLAIN | st.integers() | st.none(), lambda s: st.dictionaries(PLAIN, s)))
def test_any_data_comes_back_from_its_script(value):
    text = data("x", value)
    body = text.removeprefix('<script type="application/json" id="x">').removesuffix("</script>")
    assert "<" not in body
    assert json.loads(body) == value


def test_data_that_json_has_no_word_for_is_refused():
    with pytest.raises(ValueError, match="Out of range"):
        data("x", float("nan"))


def test_markup_is_kept_and_none_left_out():
    assert el("p", el("b", "x"), None, ["y", Html("<br>")]) == "<p><b>x</b>y<br></p>"
    assert join(["<", el("i")]) == "&lt;<i></i>"


def test_attributes_true_false_and_named_with_underscores():
    made = el("td", class_="num", data_x="1", hidden=True, open=False, title=None)
    assert made == '<td class="num" data-x="1" hidden></td>'


def test_a_script_that_would_end_itself_is_refused():
    with pytest.raises(ValueError, match="</script"):
        script("x = '</SCRIPT>'")
