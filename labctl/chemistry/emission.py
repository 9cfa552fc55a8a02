"""Photoluminescence: what a quantum yield and a decay rate say of the two ways down."""

from __future__ import annotations

from dataclasses import dataclass

from labctl.errors import UsageError


@dataclass(frozen=True, slots=True)
class Rates:
    """Radiative and non-radiative rates in 1/ns, and the lifetime of the two together in ns."""

    radiative: float
    nonradiative: float

    @property
    def lifetime_ns(self) -> float:
        """Time after which 1/e of the excited crystals is left."""
        return 1 / (self.radiative + self.nonradiative)


def rates_of(quantum_yield: float, decay_per_ns: float) -> Rates:
    """Split a single-exponential decay: k_r = QY k, k_nr = (1 - QY) k.

    The paper's QY 0.973 and k 0.023 per ns:

    >>> rates = rates_of(0.973, 0.023)
    >>> round(rates.lifetime_ns, 1), round(rates.radiative, 5), round(rates.nonradiative, 5)
    (43.5, 0.02238, 0.00062)

    Raises:
        UsageError: a yield that is not between 0 and 1, or a rate that is not above zero.
    """
    if not 0 <= quantum_yield <= 1:
        raise UsageError(f"a quantum yield of {quantum_yield:g} is impossible; expected 0 to 1")
    if not decay_per_ns > 0:
        raise UsageError(f"a decay rate of {decay_per_ns:g} per ns is impossible; expected above 0")
    return Rates(quantum_yield * decay_per_ns, (1 - quantum_yield) * decay_per_ns)
