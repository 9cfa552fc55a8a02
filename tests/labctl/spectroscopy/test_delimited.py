"""Spectra from text columns: what may be written, and where what is wrong is pointed at."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.errors import FindingsError
from labctl.spectroscopy.delimited import read_delimited

NM = np.arange(400.0, 700.0, 2.0)


def spectrum(centre_nm=580.0):
    return 0.5 * np.exp(-0.5 * ((NM - centre_nm) / 20.0) ** 2)


def columns(*bands, head="", mark=",", comma=False):
    rows = [mark.join(f"{v:.6f}" for v in row) for row in zip(NM, *bands, strict=True)]
    text = "\n".join(rows)
    return head + (text.replace(".", ",") if comma else text) + "\n"


def finding(text, name="s.csv"):
    with pytest.raises(FindingsError) as caught:
        read_delimited(text, name)
    (found,) = caught.value.findings
    assert found.file == name
    return found


@pytest.mark.parametrize("head", ["", "wavelength,absorbance\n", "# anything\nnm,AU\n"])
def test_two_columns_are_one_spectrum(head):
    (scan,) = read_delimited(columns(spectrum(), head=head), "s.csv")
    assert scan.wavelength_nm == pytest.approx(NM)
    assert scan.absorbance == pytest.approx(spectrum(), abs=1e-6)
    assert (scan.t_s, scan.temperature_c) == (None, None)


@pytest.mark.parametrize(
    ("mark", "comma"), [(";", True), ("\t", False), ("\t", True), (";", False)]
)
def test_what_separates_is_seen_and_a_decimal_comma_too(mark, comma):
    (scan,) = read_delimited(columns(spectrum(), mark=mark, comma=comma), "s.txt")
    assert scan.absorbance == pytest.approx(spectrum(), abs=1e-6)


@pytest.mark.parametrize("comma", [False, True])
def test_the_export_of_an_agilent_8453_is_one_spectrum_without_its_deviations(comma):
    """Its form as in public files: three columns parted by semicolons, one line of heads."""
    head = "Wavelength (nm);Absorbance(AU);Std.Dev.\n"
    deviations = np.full_like(NM, 0.004)
    (scan,) = read_delimited(
        columns(spectrum(), deviations, head=head, mark=";", comma=comma), "s.csv"
    )
    assert scan.wavelength_nm == pytest.approx(NM)
    assert scan.absorbance == pytest.approx(spectrum(), abs=1e-6)


@pytest.mark.parametrize(
    ("head", "column"),
    [
        ("Wavelength (nm);Transmittance(%);Std.Dev.\n", 2),
        ("nm;%T;Std.Dev.\n", 2),
        ("Wavelength;S1c;S1\nnm;CPS;CPS\n", 2),
        ("Wavelength;S1c / R1c;R1c\nnm;CPS / MicroAmps;MicroAmps\n", 2),
    ],
)
def test_what_says_that_it_is_no_absorbance_is_not_read_as_one(head, column):
    found = finding(columns(spectrum(), spectrum(), head=head, mark=";"))
    assert (found.rule, found.column) == ("spectra.quantity", column)
    assert "export absorbance" in found.message


@pytest.mark.parametrize("text", ["Std.Dev.\n1,2\n", "nm,Std.Dev.\n400,1\n", "Std.Dev.,Std.Dev.\n"])
def test_deviations_alone_are_no_spectrum(text):
    assert finding(text).rule in {"spectra.columns", "spectra.short"}


def test_notes_tell_time_and_temperature():
    head = "# time: 2.5 min\n# temperature = 200 C\n"
    (scan,) = read_delimited(columns(spectrum(), head=head), "s.csv")
    assert (scan.t_s, scan.temperature_c) == (150.0, 200.0)


@pytest.mark.parametrize(
    ("head", "times"),
    [
        ("nm / s,0,30\n", [0, 30]),
        ("nm / min,0,0.5\n", [0, 30]),
        ("wavelength (nm) \\ time (min),1,2\n", [60, 120]),
        ("nm,0 s,1 min\n", [0, 60]),
    ],
)
def test_a_matrix_has_a_row_of_times(head, times):
    scans = read_delimited(columns(spectrum(), spectrum(590.0), head=head), "m.csv")
    assert [scan.t_s for scan in scans] == times
    assert scans[1].absorbance == pytest.approx(spectrum(590.0), abs=1e-6)


def test_a_matrix_may_have_a_row_of_temperatures():
    head = "nm / s,0,30\ntemperature C,200,201.5\n"
    scans = read_delimited(columns(spectrum(), spectrum(), head=head), "m.csv")
    assert [scan.temperature_c for scan in scans] == [200.0, 201.5]
    head = "nm / s,0,30\ntemperature,200 C,201.5 C\n"
    scans = read_delimited(columns(spectrum(), spectrum(), head=head), "m.csv")
    assert [scan.temperature_c for scan in scans] == [200.0, 201.5]


def test_descending_wavelengths_are_turned_round_and_nan_stays_missing():
    lines = columns(spectrum()).splitlines()[::-1]
    lines[3] = lines[3].partition(",")[0] + ",nan"
    (scan,) = read_delimited("\n".join(lines), "s.csv")
    assert scan.wavelength_nm == pytest.approx(NM)
    assert np.flatnonzero(np.isnan(scan.absorbance)).tolist() == [NM.size - 4]


@pytest.mark.parametrize(
    ("change", "line", "column", "rule", "says"),
    [
        (lambda t: t.replace("440.000000,", "440.000000,x", 1), 21, 2, "number", "is not an absor"),
        (lambda t: t.replace("440.000000", "4x", 1), 21, 1, "number", "is not a wavelength"),
        (lambda t: t.replace("440.000000,", "440.000000,1,", 1), 21, 1, "columns", "2 expected"),
        (lambda t: t.replace("440.000000", "436.000000", 1), 21, 1, "order", "436 nm breaks"),
        (lambda t: t.replace("440.000000", "2.8", 1), 21, 1, "wavelength", "2.8 is no wavelength"),
        (lambda t: "\n".join(t.splitlines()[:10]), 1, 1, "short", "10 wavelengths; at least 20"),
        (lambda t: "", 1, 1, "empty", "holds no columns"),
        (lambda t: "400\n401\n", 1, 1, "columns", "one column"),
        (lambda t: "# time: 5\n" + t, 1, 1, "bare_number", "has no unit"),
        (lambda t: "nm,30\n" + t, 1, 2, "times", "write '30 s'"),
    ],
)
def test_what_is_wrong_is_pointed_at(change, line, column, rule, says):
    found = finding(change(columns(spectrum())))
    assert (found.line, found.column, found.rule) == (line, column, f"spectra.{rule}")
    assert says in found.message


def test_a_matrix_without_times_is_refused():
    assert finding(columns(spectrum(), spectrum())).rule == "spectra.times"
    head = "nm / s,0,soon\n"
    assert finding(columns(spectrum(), spectrum(), head=head)).column == 3


@given(st.text(max_size=300))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(FindingsError):
        read_delimited(text, "any.csv")


@given(st.lists(st.floats(-1, 5), min_size=20, max_size=60), st.sampled_from(",;\t"))
def test_what_was_written_comes_back(values, mark):
    text = "\n".join(f"{400 + n}{mark}{value!r}" for n, value in enumerate(values))
    (scan,) = read_delimited(text, "w.csv")
    assert scan.absorbance.tolist() == values
