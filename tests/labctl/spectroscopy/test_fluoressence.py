"""Text exports of FluorEssence in the forms that public readers of them describe."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.errors import FindingsError
from labctl.spectroscopy.fluoressence import read_fluoressence

NM = np.arange(500.0, 700.0, 1.0)
COUNTS = 67564.0 + 100.0 * np.arange(NM.size)


def exported(*, labelled, repeated=False, descending=False):
    names = ["Wavelength", "S1c / R1c", *["Wavelength"] * repeated, "S1"]
    units = ["nm", "CPS / MicroAmps", *["nm"] * repeated, "CPS"]
    short = ["A", "B", *["C"] * repeated, "D"]
    order = slice(None, None, -1) if descending else slice(None)
    body = [
        [f"{nm:g}", f"{c / 29.0:.8f}", *[f"{nm:g}"] * repeated, f"{c:g}"]
        for nm, c in zip(NM[order], COUNTS[order], strict=True)
    ]
    rows = [short, names, units, *body]
    if labelled:
        heads = ["Short Name", "Long Name", "Units", *map(str, range(1, len(body) + 1))]
        rows = [[head, *row] for head, row in zip(heads, rows, strict=True)]
    return "\n".join("\t".join(row) for row in rows) + "\n"


@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize("repeated", [False, True])
@pytest.mark.parametrize("descending", [False, True])
def test_every_signal_is_read_with_its_unit(labelled, repeated, descending):
    text = exported(labelled=labelled, repeated=repeated, descending=descending)
    found = read_fluoressence(text, "pl.txt")
    assert list(found) == ["S1c / R1c", "S1"]
    corrected, raw = found.values()
    assert (corrected.unit, raw.unit) == ("CPS / MicroAmps", "CPS")
    assert raw.wavelength_nm == pytest.approx(NM)
    assert raw.values == pytest.approx(COUNTS)
    assert corrected.values == pytest.approx(COUNTS / 29.0)


@pytest.mark.parametrize(
    ("change", "rule", "line"),
    [
        (("Wavelength", "Energy"), "names", 1),
        (("nm", "eV"), "units", 3),
        (("67564", "many"), "number", 4),
        (("67564", "1\t2"), "columns", 4),
        (("500", "50"), "wavelength", 4),
    ],
)
def test_what_is_wrong_is_pointed_at(change, rule, line):
    with pytest.raises(FindingsError) as caught:
        read_fluoressence(exported(labelled=False).replace(*change), "pl.txt")
    (found,) = caught.value.findings
    assert (found.rule, found.line) == (f"spectra.{rule}", line)


def test_a_few_points_are_no_spectrum():
    text = "\n".join(exported(labelled=True).splitlines()[:10])
    with pytest.raises(FindingsError, match="at least 20"):
        read_fluoressence(text, "pl.txt")


@given(st.text(alphabet="Wavelength\tnm1.5 \n", max_size=200), st.booleans())
def test_any_text_is_read_or_refused(noise, labelled):
    with contextlib.suppress(FindingsError):
        read_fluoressence(noise, "x")
    text = exported(labelled=labelled)
    with contextlib.suppress(FindingsError):
        read_fluoressence(text[:300] + noise + text[300:], "x")
