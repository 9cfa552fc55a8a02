"""Rates from a quantum yield and a decay."""

import pytest

from labctl.chemistry.emission import rates_of
from labctl.errors import UsageError


def test_a_perfect_emitter_has_one_way_down():
    rates = rates_of(1.0, 0.05)
    assert (rates.radiative, rates.nonradiative, rates.lifetime_ns) == (0.05, 0.0, 20.0)


@pytest.mark.parametrize("quantum_yield", [-0.1, 1.1, float("nan")])
def test_refuses_impossible_yields(quantum_yield):
    with pytest.raises(UsageError, match="expected 0 to 1"):
        rates_of(quantum_yield, 0.05)


@pytest.mark.parametrize("decay", [0.0, -1.0, float("nan")])
def test_refuses_what_does_not_decay(decay):
    with pytest.raises(UsageError, match="expected above 0"):
        rates_of(0.5, decay)
