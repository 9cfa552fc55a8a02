"""JCAMP-DX 5.01: both forms of tables, times, linked blocks; what is wrong is pointed at."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.errors import FindingsError
from labctl.spectroscopy.jcamp import read_jcamp

NM = np.arange(400.0, 700.0, 2.0)
HEAD = """\
##TITLE= in flask
##JCAMP-DX= 5.01 $$ labctl's tests
##DATA TYPE= UV/VIS SPECTRUM
##XUNITS= NANOMETERS
##YUNITS= ABSORBANCE
"""


def spectrum(centre_nm=580.0):
    return 0.5 * np.exp(-0.5 * ((NM - centre_nm) / 20.0) ** 2)


def xydata(values, *, extra="", y_factor=1e-5, nm=NM, form="(X++(Y..Y))", per_line=8):
    rows = []
    for start in range(0, len(values), per_line):
        numbers = [round(v / y_factor) for v in values[start : start + per_line]]
        rows.append(f"{nm[start]:g}" + "".join(f"{n:+d}" for n in numbers))
    numbers = (
        f"##XFACTOR= 1\n##YFACTOR= {y_factor}\n##FIRSTX= {nm[0]}\n##LASTX= {nm[-1]}\n"
        f"##NPOINTS= {len(values)}\n##XYDATA= {form}\n"
    )
    return HEAD + extra + numbers + "\n".join(rows) + "\n##END=\n"


def xypoints(values, extra=""):
    rows = [f"{nm}, {value}" for nm, value in zip(NM, values, strict=True)]
    pairs = "\n".join("; ".join(rows[n : n + 2]) for n in range(0, len(rows), 2))
    return f"{HEAD}{extra}##NPOINTS= {NM.size}\n##XYPOINTS= (XY..XY)\n{pairs}\n##END=\n"


def finding(text):
    with pytest.raises(FindingsError) as caught:
        read_jcamp(text, "s.jdx")
    (found,) = caught.value.findings
    return found


def test_equidistant_data_packed_by_sign_are_read():
    (scan,) = read_jcamp(xydata(spectrum()), "s.jdx")
    assert scan.wavelength_nm == pytest.approx(NM)
    assert scan.absorbance == pytest.approx(spectrum(), abs=1e-5)
    assert (scan.t_s, scan.temperature_c) == (None, None)


def test_pairs_are_read():
    (scan,) = read_jcamp(xypoints(spectrum()), "s.jdx")
    assert scan.wavelength_nm == pytest.approx(NM)
    assert scan.absorbance == pytest.approx(spectrum())


def test_descending_data_and_other_units_come_out_ascending_in_nm():
    down = xydata(spectrum()[::-1], nm=NM[::-1])
    (scan,) = read_jcamp(down, "s.jdx")
    assert scan.wavelength_nm == pytest.approx(NM)
    assert scan.absorbance == pytest.approx(spectrum(), abs=1e-5)
    per_cm = 1e7 / NM[::-1]
    rows = "\n".join(
        f"{x!r} {y!r}" for x, y in zip(per_cm.tolist(), spectrum()[::-1].tolist(), strict=True)
    )
    head = HEAD.replace("NANOMETERS", "1/CM")
    (scan,) = read_jcamp(f"{head}##XYPOINTS= (XY..XY)\n{rows}\n##END=\n", "s.jdx")
    assert scan.wavelength_nm == pytest.approx(NM)
    assert scan.absorbance == pytest.approx(spectrum())


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("##LONGDATE= 2025/11/03 12:00:00.5", "##LONG DATE= 2025/11/03 12:01:30.5 +0100"),
        ("##DATE= 25/11/03\n##TIME= 12:00:00", "##DATE= 25/11/03\n##TIME= 12:01:30"),
        ("##TIME= 12:00:00", "##TIME= 12:01:30"),
    ],
)
def test_times_are_told_by_date_and_hour(first, second):
    scans = [read_jcamp(xydata(spectrum(), extra=f"{e}\n"), "s.jdx")[0] for e in (first, second)]
    assert scans[1].t_s - scans[0].t_s == 90.0


def test_the_temperature_and_missing_values_are_kept():
    text = xypoints(spectrum(), extra="##TEMPERATURE= 199.5\n")
    value = f"404.0, {spectrum()[2]}"
    (scan,) = read_jcamp(text.replace(value, "404.0, ?"), "s.jdx")
    assert scan.temperature_c == 199.5
    assert np.flatnonzero(np.isnan(scan.absorbance)).tolist() == [2]


def test_linked_blocks_are_so_many_spectra():
    link = "##TITLE= series\n##DATA TYPE= LINK\n##BLOCKS= 2\n"
    text = link + xydata(spectrum()) + xydata(spectrum(590.0)) + "##END=\n"
    scans = read_jcamp(text, "s.jdx")
    assert [float(NM[np.argmax(scan.absorbance)]) for scan in scans] == [580.0, 590.0]


@pytest.mark.parametrize(
    ("change", "line", "rule", "says"),
    [
        (lambda t: t.replace("ABSORBANCE", "TRANSMITTANCE"), 5, "label", "ABSORBANCE expected"),
        (lambda t: t.replace("NANOMETERS", "SECONDS"), 4, "label", "NANOMETERS or"),
        (lambda t: t.replace("(X++(Y..Y))", "(X++(R..R))"), 11, "form", "(X++(R..R)) is not read"),
        (lambda t: t.replace("##NPOINTS= 150", "##NPOINTS= many"), 10, "label", "a number expect"),
        (lambda t: t.replace("##NPOINTS= 150", ""), 1, "label", "##NPOINTS= is ''"),
        (lambda t: t.replace("\n416+", "\n456+"), 13, "x", "begins at x = 456; 416 expected"),
        (lambda t: t.replace("\n688+", "\n##END="), 10, "points", "150 points; 144 are there"),
        (lambda t: t.replace("\n416+", "\n416A"), 13, "compressed", "'A' is not read"),
        (lambda t: t[: t.index("##XYDATA")], 1, "empty", "holds no ##XYDATA"),
    ],
)
def test_what_is_wrong_is_pointed_at(change, line, rule, says):
    found = finding(change(xydata(spectrum())))
    assert (found.line, found.rule) == (line, f"spectra.{rule}")
    assert says in found.message


def test_half_a_pair_and_too_few_points_are_refused():
    text = xypoints(spectrum())
    assert finding(text.replace("402.0, ", "402.0 ", 1).replace("; 402.0", "; ")).rule in {
        "spectra.pairs"
    }
    short = f"{HEAD}##XYPOINTS= (XY..XY)\n400, 1; 401, 2\n##END=\n"
    assert finding(short).rule == "spectra.short"


@given(st.text(max_size=300))
def test_any_text_is_read_or_refused(text):
    for whole in (text, f"{HEAD}##XYPOINTS= (XY..XY)\n{text}\n##END=", xydata(spectrum()) + text):
        with contextlib.suppress(FindingsError):
            read_jcamp(whole, "any.jdx")
