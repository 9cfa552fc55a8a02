import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from labctl.errors import UnitError
from labctl.units import (
    CANONICAL,
    TORR_MBAR,
    UNITS,
    dimension_of,
    parse,
    parse_range,
    show,
    show_duration,
    spelling,
)

NUMBERS = st.floats(-1e6, 1e6).filter(lambda x: x == 0 or abs(x) > 1e-6)
MEASURED = sorted(set(CANONICAL) - {"time", "truth", "area"})


@pytest.mark.parametrize(
    ("text", "dimension", "value"),
    [
        ("120 C", "temperature", 120.0),
        ("-10 \u00b0C", "temperature", -10.0),
        ("2 K", "temperature difference", 2.0),
        ("10 K/min", "temperature rate", 10.0),
        ("10 C/min", "temperature rate", 10.0),
        ("1 K/s", "temperature rate", 60.0),
        ("100 mTorr", "pressure", 0.1 * TORR_MBAR),
        ("1 atm", "pressure", 1013.25),
        ("1 bar", "pressure", 1000.0),
        ("100 Pa", "pressure", 1.0),
        ("760 Torr", "pressure", 1013.25),
        ("20 mTorr/min", "pressure rate", 0.02 * TORR_MBAR),
        ("50 uL", "volume", 0.05),
        ("5mL", "volume", 5.0),
        ("3 L", "volume", 3000.0),
        ("1 mL/h", "volume rate", 1 / 60),
        ("60 cm", "length", 600.0),
        ("220 nmol", "amount", 220e-6),
        ("0.4 mmol", "amount", 0.4),
        ("50 umol/L", "concentration", 50e-6),
        ("2.17 M", "concentration", 2.17),
        ("1.2 mg", "mass", 1.2e-3),
        ("2 h", "time", 7200.0),
        ("1.5 min", "time", 90.0),
        ("90 d", "time", 90 * 86400.0),
        ("85 %", "fraction", 0.85),
        ("30 mAU", "absorbance", 0.03),
        ("0.3 ppm", "parts", 0.3),
        (".5 mL", "volume", 0.5),
        ("3e-1 mL", "volume", 0.3),
    ],
)
def test_reads_what_is_typed_at_the_bench(text, dimension, value):
    assert parse(text, dimension).value == pytest.approx(value, rel=2e-6)
    assert dimension_of(text) == dimension


@pytest.mark.parametrize(
    ("text", "dimension", "rule"),
    [
        ("120", "temperature", "units.bare_number"),
        ("120 C", "volume", "units.dimension"),
        ("2 C", "temperature difference", "units.dimension"),
        ("5 m", "time", "units.dimension"),
        ("5 mll", "volume", "units.unknown_unit"),
        ("hot", "temperature", "units.value"),
        ("", "volume", "units.value"),
        ("1 h 30 min", "time", "units.unknown_unit"),
        ("nan mL", "volume", "units.value"),
        ("inf mL", "volume", "units.value"),
        ("1,5 mL", "volume", "units.unknown_unit"),
        ("0x10 mL", "volume", "units.unknown_unit"),
    ],
)
def test_refuses_and_names_the_rule(text, dimension, rule):
    with pytest.raises(UnitError) as caught:
        parse(text, dimension)
    assert caught.value.rule == rule


@pytest.mark.parametrize(
    ("text", "dimension", "hint"),
    [
        ("5 mmoll", "amount", "'mmol'"),
        ("5 mTor", "pressure", "'mTorr'"),
        ("5 rmp", "rotation", "'rpm'"),
    ],
)
def test_an_unknown_unit_names_the_nearest(text, dimension, hint):
    with pytest.raises(UnitError, match=hint):
        parse(text, dimension)


def test_a_difference_of_temperature_is_explained():
    with pytest.raises(UnitError, match="a difference is written in K"):
        parse("5 degC", "temperature difference")


@pytest.mark.parametrize(
    ("written", "one"),
    [
        ("C", "\u00b0C"), ("degC", "\u00b0C"), ("\u2103", "\u00b0C"),
        ("C/min", "K/min"), ("degC/h", "K/h"), ("\u00b0C/s", "K/s"),
        ("uL", "\u00b5L"), ("\u03bcL", "\u00b5L"), ("ul", "\u00b5L"), ("ml", "mL"), ("l", "L"),
        ("ml/min", "mL/min"), ("umol/L", "\u00b5mol/L"), ("um", "\u00b5m"),
        ("\u03bcmol", "\u00b5mol"),
    ],
)  # fmt: skip
def test_one_unit_has_one_form(written, one):
    assert spelling(written) == one
    assert one in UNITS


def test_the_table_is_closed_under_its_own_spelling():
    assert all(spelling(unit) == unit for unit in UNITS)


def test_every_dimension_has_its_canonical_unit_with_scale_one():
    for dimension in MEASURED:
        unit = UNITS[CANONICAL[dimension]]
        assert unit.dimension == dimension
        assert unit.scale == (0.01 if dimension == "fraction" else 1.0)


@pytest.mark.parametrize("dimension", MEASURED)
@given(value=NUMBERS)
def test_what_is_shown_in_full_is_read_back(dimension, value):
    read = parse(show(value, dimension, digits=17), dimension).value
    assert read == pytest.approx(value, rel=1e-12)


@given(st.sampled_from(sorted(UNITS)), NUMBERS)
def test_a_quantity_scales_with_its_unit(unit, number):
    dimension = UNITS[unit].dimension
    assume(dimension in MEASURED or dimension == "time")
    twice = parse(f"{2 * number!r} {unit}", dimension).value
    assert twice == pytest.approx(2 * parse(f"{number!r} {unit}", dimension).value)
    assert parse(f"{number!r}{unit}", dimension).text == f"{number!r}{unit}"


@given(st.integers(0, 99 * 3600))
def test_a_duration_is_shown_as_its_own_parts(seconds):
    shown = show_duration(seconds).split(" ")
    read = sum(
        parse(f"{n} {unit}", "time").value for n, unit in zip(shown[::2], shown[1::2], strict=True)
    )
    assert 0 <= seconds - read < 60  # hours are told to the minute
    assert read == seconds or seconds >= 3600


@given(NUMBERS, NUMBERS)
def test_a_range_runs_upwards(a, b):
    text = f"{a!r} mL .. {b!r} mL"
    if a > b:
        with pytest.raises(UnitError) as caught:
            parse_range(text, "volume")
        assert caught.value.rule == "units.range"
    else:
        low, high = parse_range(text, "volume")
        assert (low.value, high.value) == (a, b)


@pytest.mark.parametrize("text", ["5 mL", "5 mL - 7 mL", "5 .. 7 mL", "5 mL .. 7 nm", ".."])
def test_half_a_range_is_refused(text):
    with pytest.raises(UnitError):
        parse_range(text, "volume")


@given(st.text(max_size=30))
def test_any_text_is_a_finite_quantity_or_refused(text):
    for dimension in ("temperature", "volume", "time"):
        value, rule = math.nan, ""
        try:
            value = parse(text, dimension).value
        except UnitError as error:
            rule = error.rule
        assert math.isfinite(value) or rule.startswith("units.")
