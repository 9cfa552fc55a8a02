"""How numbers, times and their origins are written in a report."""

from __future__ import annotations

from collections.abc import Sequence

from labctl.readings import Kind
from labctl.report.html import Html, el, join
from labctl.units import CANONICAL, show, show_duration

NS = 1e9
_SMALLER = {
    "amount": (("mmol", 1.0, 0.01), ("µmol", 1e3, 1.0), ("nmol", 1e6, 0.0)),
    "concentration": (("mol/L", 1.0, 0.01), ("mmol/L", 1e3, 1.0), ("µmol/L", 1e6, 0.0)),
}
"""Units of a dimension with their factor, and the least number that is written in them."""
DASH = Html("<span class=none>–</span>")
MARKS = {
    Kind.COMMANDED: ("c", "commanded: what an instrument or a person was told"),
    Kind.MEASURED: ("m", "measured: read from an instrument, or computed from readings"),
    Kind.TYPED: ("t", "typed: entered by a person"),
    Kind.ASSUMED: ("a", "assumed: nobody measured it; the reason is given"),
}


def mark(kind: str) -> Html:
    """Make the small sign of where a number comes from; an unknown origin gets none."""
    if kind not in MARKS:
        return Html("")
    letter, meaning = MARKS[Kind(kind)]
    return el("abbr", letter, class_=f"mark mark-{letter}", title=meaning)


def legend() -> Html:
    """Explain the signs."""
    rows = [join([mark(kind), " ", meaning]) for kind, (_, meaning) in MARKS.items()]
    return el("ul", [el("li", row) for row in rows], class_="legend")


def amount(value: float | None, dimension: str, kind: str = "") -> Html:
    """Write a value with unit and sign; a dash if there is none."""
    if value is None:
        return DASH
    return join([number(value, dimension), mark(kind)])


def number(value: float, dimension: str) -> str:
    """Write a value with as many decimals as a chemist reads, in the unit that fits it.

    >>> number(2.0, "volume"), number(0.0743, "volume"), number(200.26, "temperature")
    ('2.000 mL', '0.0743 mL', '200.3 °C')
    >>> number(0.00022, "amount"), number(5e-05, "concentration"), number(0.5, "concentration")
    ('220 nmol', '50 µmol/L', '0.5 mol/L')
    """
    for unit, factor, least in _SMALLER.get(dimension, ()):
        if abs(value) * factor >= least:
            return f"{value * factor:.4g} {unit}"
    if dimension == "volume":
        return f"{value:.{3 if abs(value) >= 1 else 4}f} mL"
    if dimension in {"temperature", "wavelength"}:
        return f"{value:.1f} {CANONICAL[dimension]}"
    return show(value, dimension)


def minus(text: str) -> str:
    """Write negative numbers with a minus sign, as in print.

    >>> minus("-0.1 nm")
    '−0.1 nm'
    """
    return text.replace("-", "−")


def duration(seconds: float | None) -> str:
    """Write how long something took, as a person says it.

    >>> duration(3725), duration(None)
    ('1 h 2 min', '–')
    """
    return "–" if seconds is None else show_duration(seconds)


def moment(t_ns: int | None) -> str:
    """Write a time of the run as h:mm:ss.

    >>> moment(3725 * 10**9), moment(None)
    ('1:02:05', '–')
    """
    if t_ns is None:
        return "–"
    minutes, seconds = divmod(round(t_ns / NS), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"


def lasted_s(start_ns: int, end_ns: int | None) -> float | None:
    """Give the s between two times; None while the second is open."""
    return None if end_ns is None else (end_ns - start_ns) / NS


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], numbers: str = "") -> Html:
    """Make a table; `numbers` has one letter per column, `n` for figures set to the right.

    A table of no rows is a dash.
    """
    if not rows:
        return el("p", "none", class_="none")
    classes = ["num" if letter == "n" else None for letter in numbers.ljust(len(heads))]
    head = el("tr", [el("th", h, class_=c) for h, c in zip(heads, classes, strict=True)])
    body = [
        el("tr", [el("td", cell, class_=c) for cell, c in zip(row, classes, strict=True)])
        for row in rows
    ]
    return el("div", el("table", el("thead", head), el("tbody", body)), class_="scroll")


def pairs(rows: Sequence[tuple[str, str | None]]) -> Html:
    """Make a list of names and values; rows without a value are left out."""
    listed = [[el("dt", name), el("dd", value)] for name, value in rows if value]
    return el("dl", [cell for row in listed for cell in row])


def section(title: str, *children: str | None, anchor: str) -> Html:
    """Make a section with its heading."""
    return el("section", el("h2", title), *children, id=anchor)
