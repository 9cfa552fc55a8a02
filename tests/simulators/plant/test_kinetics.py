"""Rates of the reaction model against Arrhenius by hand and the statements of the paper."""

import math
from dataclasses import fields

import pytest

from simulators.plant.kinetics import CHALCOGENS, CoreKinetics, Kinetics, Rate, parameters


def test_a_rate_is_its_reference_value_at_its_reference_temperature():
    assert Rate(2.0, 100e3, 473.15).at(473.15) == 2.0


def test_a_rate_grows_as_arrhenius_says():
    assert Rate(2.0, 100e3, 473.15).at(493.15) / 2.0 == pytest.approx(2.803, abs=0.01)


def test_sulfur_waits_for_250_degrees_where_selenium_is_fast_at_200():
    sulfur, selenium = CHALCOGENS["ZnS"].adsorption, CHALCOGENS["ZnSe"].adsorption
    assert sulfur.at(523.15) == 0.25
    assert sulfur.at(473.15) < 0.05 * selenium.at(473.15)


def test_monomer_rate_puts_the_two_and_four_layer_points_on_one_line():
    per_minute = Kinetics().monomer.at(593.15) * 4.0 / 18.6 * 60
    assert per_minute == pytest.approx(0.0178, abs=5e-4)
    assert 1 - math.exp(-per_minute * 30) == pytest.approx(0.41, abs=0.01)


def test_every_parameter_says_what_it_rests_on():
    rows = parameters()
    assert len(rows) == len(fields(Kinetics)) + 2 * len(CHALCOGENS) + len(fields(CoreKinetics))
    assert len({row.name for row in rows}) == len(rows)
    for row in rows:
        assert row.basis.rests in {"stated", "constrained", "assumed"}, row.name
        assert row.basis.on, row.name
    assert next(row.value for row in rows if row.name == "exchange") == "0.4 at 200 °C, 40 kJ/mol"
