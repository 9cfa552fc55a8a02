"""How a metal acetate and a fatty acid become a carboxylate stock: acetic acid is set free.

M(OAc)n + n RCOOH = M(O2CR)n + n AcOH. The two acids are alike and share the metal, so the exchange
is complete only where the acetic acid leaves: hot, under vacuum. It is first order in what is
scarcer. Rate, activation energy and constant are ASSUMED, such that 2 h at 120 °C suffice (Choi et
al. 2023: 2 h for indium, 24 h for zinc) and that without vacuum a fifth stays acetate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from labctl.chemistry.constants import GAS_CONSTANT_J_MOL_K, ZERO_CELSIUS_K
from labctl.chemistry.mixture import Mixture

ACID: Final = "acetic acid"
HALF_AT_120C_S: Final = 300.0
ACTIVATION_J_MOL: Final = 90e3
CONSTANT: Final = 20.0
_REFERENCE_K: Final = 120.0 + ZERO_CELSIUS_K


@dataclass(frozen=True, slots=True)
class Exchange:
    """One acetate, the fatty acid that replaces it, what they make, and acetates per metal."""

    acetate: str
    acid: str
    carboxylate: str
    per_metal: int

    def possible_mmol(self, held: Mapping[str, float]) -> float:
        """Return the acetic acid that may still be set free, in mmol."""
        return min(held.get(self.acetate, 0.0) * self.per_metal, held.get(self.acid, 0.0))

    def change(self, freed_mmol: float) -> dict[str, float]:
        """Return what so much acetic acid set free changes, in mmol by name; acid not counted."""
        metal = freed_mmol / self.per_metal
        return {self.acetate: -metal, self.acid: -freed_mmol, self.carboxylate: metal}


EXCHANGES: Final = (
    Exchange("zinc acetate", "oleic acid", "zinc oleate", 2),
    Exchange("zinc acetate", "stearic acid", "zinc stearate", 2),
    Exchange("indium acetate", "oleic acid", "indium oleate", 3),
    Exchange("indium acetate", "stearic acid", "indium stearate", 3),
)
ACETATES: Final = frozenset(exchange.acetate for exchange in EXCHANGES)


def half_time_s(temperature_c: float) -> float:
    """Return how long half of an exchange takes while its acetic acid is pumped off, in s.

    >>> [round(half_time_s(c) / 60) for c in (120, 100, 60)]
    [5, 22, 712]
    """
    slower = 1.0 / (temperature_c + ZERO_CELSIUS_K) - 1.0 / _REFERENCE_K
    return HALF_AT_120C_S * math.exp(ACTIVATION_J_MOL / GAS_CONSTANT_J_MOL_K * slower)


def pumped(mixture: Mixture, temperature_c: float, for_s: float) -> Mixture:
    """Return what a vacuum leaves of acetates and fatty acids; the acetic acid is gone.

    >>> stock = Mixture.of({"zinc acetate": 10, "oleic acid": 20, "ODE": 42.8})
    >>> {name: round(mmol, 1) for name, mmol in pumped(stock, 120, 86400).parts if mmol > 1e-6}
    {'1-octadecene': 42.8, 'zinc oleate': 10.0}
    """
    held = mixture.remove(ACID).amounts
    for exchange in EXCHANGES:
        share = -math.expm1(-math.log(2) * for_s / half_time_s(temperature_c))
        for name, mmol in exchange.change(share * exchange.possible_mmol(held)).items():
            held[name] = max(0.0, held.get(name, 0.0) + mmol)
    return Mixture.of(held)


def unfreed_mmol(mixture: Mixture) -> float:
    """Return the acetic acid in a liquid, in mmol: free, and what its fatty acids may set free."""
    held, total = mixture.amounts, mixture.amount_mmol(ACID)
    for exchange in EXCHANGES:
        freed = exchange.possible_mmol(held)
        total += freed
        for name, mmol in exchange.change(freed).items():
            held[name] = held.get(name, 0.0) + mmol
    return total


def set_free_mmol(exchange: Exchange, held: Mapping[str, float], temperature_c: float,
                  dt_s: float) -> float:  # fmt: skip
    """Return the acetic acid set free in a time, in mmol; negative where it goes back.

    Rate k (a f - h c/K)/max(a, f), with a acetate, f fatty acid, h acetic acid and c
    carboxylate, each in mmol of acid groups.
    """
    acetate = held.get(exchange.acetate, 0.0) * exchange.per_metal
    acid, back = held.get(exchange.acid, 0.0), held.get(ACID, 0.0)
    made = held.get(exchange.carboxylate, 0.0) * exchange.per_metal
    drive = (acetate * acid - back * made / CONSTANT) / max(acetate, acid, 1e-12)
    freed = -drive * math.expm1(-math.log(2) * dt_s / half_time_s(temperature_c))
    return max(freed, -min(back, made))
