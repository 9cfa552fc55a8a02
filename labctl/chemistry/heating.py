"""How long a mantle takes to heat, and a flask to cool: a lumped estimate for plans and timeouts.

One node for liquid, glass and mantle with a linear loss and radiation. The constants are those of a
typical 50-100 mL mantle (± 20 %); commissioning measures a rig's own.
"""

from __future__ import annotations

import math

MANTLE_J_K = 80.0
LOSS_W_K = 0.105
RADIATION_W_K4 = 1.0e-10
AMBIENT_C = 22.0
FAN_W_K = 0.3
BARE_LOSS_W_K = 0.055
STEP_K = 5.0


def loss_w(temperature_c: float) -> float:
    """Heat that leaves flask and mantle at a temperature, in W.

    >>> round(loss_w(260))
    32
    """
    kelvin, ambient = temperature_c + 273.15, AMBIENT_C + 273.15
    return LOSS_W_K * (temperature_c - AMBIENT_C) + RADIATION_W_K4 * (kelvin**4 - ambient**4)


def heating_s(
    heat_capacity_j_k: float, power_w: float, from_c: float, to_c: float, rate_k_min: float = 0.0
) -> float:
    """Time to heat, limited by the typed rate (0 means none) and by the heater's power, in s.

    Infinite where the power cannot hold the temperature.
    """
    total, at_c = 0.0, from_c
    while at_c < to_c:
        step_k = min(STEP_K, to_c - at_c)
        spare_w = power_w - loss_w(at_c + step_k / 2)
        if spare_w <= 0:
            return math.inf
        fastest_s = step_k * (heat_capacity_j_k + MANTLE_J_K) / spare_w
        typed_s = step_k / rate_k_min * 60 if rate_k_min else 0.0
        total += max(fastest_s, typed_s)
        at_c += step_k
    return total


def cooling_s(
    heat_capacity_j_k: float, from_c: float, to_c: float, *, fan: bool, mantle_down: bool
) -> float:
    """Time to cool by itself, or with a fan, with the mantle in place or lowered, in s.

    Infinite at or below ambient.
    """
    conductance = BARE_LOSS_W_K if mantle_down else LOSS_W_K
    if fan:
        conductance += FAN_W_K if mantle_down else FAN_W_K / 3
    capacity = heat_capacity_j_k if mantle_down else heat_capacity_j_k + MANTLE_J_K
    total, at_c = 0.0, from_c
    while at_c > to_c:
        step_k = min(STEP_K, at_c - to_c)
        middle_c = at_c - step_k / 2
        flow_w = conductance * (middle_c - AMBIENT_C) + RADIATION_W_K4 * (
            (middle_c + 273.15) ** 4 - (AMBIENT_C + 273.15) ** 4
        )
        if flow_w <= 0:
            return math.inf
        total += step_k * capacity / flow_w
        at_c -= step_k
    return total
