"""Heat and hot volumes: what a cold addition costs, and how much a liquid expands.

Balances assume instant mixing and no heat from the mantle. Liquids expand by 9e-4 per K.
"""

from __future__ import annotations

from typing import Final

from labctl.chemistry.constants import ROOM_C
from labctl.errors import UsageError

EXPANSION_PER_K: Final = 9e-4
# 0.79 g/mL times 2.2 J/(g K): 1-octadecene, and within 3 % squalane.
OIL_HEAT_CAPACITY_J_ML_K: Final = 1.7


def cold_addition_drop_k(
    flask_c: float, flask_j_k: float, added_c: float, added_j_k: float
) -> float:
    """Give how many K a flask falls when something colder is added at once.

    Heat balance: ΔT = Ca (Tf − Ta) / (Cf + Ca), heat capacities in J/K. Whether `flask_j_k`
    includes the glass (30 J/K for a 50 mL flask) is the caller's choice; the true drop does.
    Negative when the addition is warmer.

    >>> round(cold_addition_drop_k(260, 30 + 10 * 1.7, 25, 2 * 1.7), 1)
    15.9

    Raises:
        UsageError: a negative heat capacity, or none at all.
    """
    if min(flask_j_k, added_j_k) < 0 or flask_j_k + added_j_k == 0:
        raise UsageError(f"{flask_j_k} J/K and {added_j_k} J/K cannot be mixed")
    return added_j_k * (flask_c - added_c) / (flask_j_k + added_j_k)


def glass_j_k(volume_ml: float) -> float:
    """Give the heat capacity in J/K of a glass flask by its nominal size in mL.

    A power law through the flasks of the bundled rig (18, 30 and 50 J/K for 25, 50 and 100 mL):
    the glass grows with the surface and a little with its thickness. 20 % may be wrong.

    >>> [round(glass_j_k(volume_ml)) for volume_ml in (25, 50, 100)]
    [18, 30, 50]
    """
    return 30.0 * float((volume_ml / 50.0) ** 0.74)


def warming_power_w(
    rate_ml_min: float,
    flask_c: float,
    added_c: float,
    heat_capacity_j_ml_k: float = OIL_HEAT_CAPACITY_J_ML_K,
) -> float:
    """Give the heat in W that a stream of cold liquid draws from the flask: rate × c × (Tf − Ta).

    >>> round(warming_power_w(1.0, 250, 60), 1)
    5.4
    """
    return rate_ml_min / 60 * heat_capacity_j_ml_k * (flask_c - added_c)


def hot_volume_ml(volume_ml: float, temperature_c: float, measured_c: float = ROOM_C) -> float:
    """Give the volume of a liquid at a temperature: V (1 + 9e-4 (T − T₀)).

    >>> round(hot_volume_ml(23.8, 260), 1)
    28.8
    """
    return volume_ml * (1 + EXPANSION_PER_K * (temperature_c - measured_c))
