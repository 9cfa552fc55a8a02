"""HTML made of values: text is escaped because it is text, markup is markup as it is `Html`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from html import escape

Child = str | None | Iterable["str | None"]


class Html(str):
    """Text that is markup already; only this module makes it."""

    __slots__ = ()


def el(tag: str, *children: Child, **attributes: str | bool | None) -> Html:
    """Make an element; children that are no `Html` are escaped, None is left out.

    Attribute names lose a trailing underscore and turn inner ones to dashes; True writes the bare
    name, False and None nothing.

    >>> el("p", "a < b ", el("b", "c"), class_="note", data_x="1")
    '<p class="note" data-x="1">a &lt; b <b>c</b></p>'
    """
    opened = tag + "".join(_attribute(name, value) for name, value in attributes.items())
    if tag in _VOID:
        return Html(f"<{opened}>")
    return Html(f"<{opened}>{join(children)}</{tag}>")


def join(children: Iterable[Child]) -> Html:
    """Put children in a row, escaped where they are text."""
    return Html("".join(_text(child) for child in children))


def style(css: str) -> Html:
    """Embed a style sheet of ours."""
    return Html(f"<style>{css}</style>")


def script(source: str) -> Html:
    """Embed a script of ours.

    Raises:
        ValueError: the source would end its own element.
    """
    if "</script" in source.lower():
        raise ValueError("a script that holds '</script' cannot be embedded")
    return Html(f"<script>{source}</script>")


def data(name: str, value: object) -> Html:
    """Embed plain values as JSON that no text in it can break out of."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    safe = text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return Html(f'<script type="application/json" id="{escape(name)}">{safe}</script>')


_VOID = {"meta", "br"}


def _attribute(name: str, value: str | bool | None) -> str:
    if value is None or value is False:
        return ""
    plain = name.rstrip("_").replace("_", "-")
    return f" {plain}" if value is True else f' {plain}="{escape(value)}"'


def _text(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Html):
        return child
    if isinstance(child, str):
        return escape(child)
    return "".join(_text(one) for one in child)
