"""The constants of a mantle with a flask in it, found from how the flask heated and cooled.

    Cm dTm/dt = P - U (Tm - Tf) - gm (Tm - Ta)
    Cf dTf/dt = U (Tm - Tf) - gf (Tf - Ta) - es (Tf^4 - Ta^4)

Cf, of liquid and glass, is known; Cm, U and the losses are fitted by least squares (Gauss-Newton on
their logarithms). The losses keep the ratio of a typical mantle: one probe cannot tell them apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labctl.errors import UsageError

KELVIN = 273.15
RADIATION_W_K4 = 1.0e-10
STEP_S = 1.0
PROBE_S = 4.0
"""How far a probe in its well is behind the flask."""
ROUNDS = 12
LEAST_S, LEAST_RISE_K = 1800.0, 60.0
WORST_RMS_K = 3.0
PLAUSIBLE = (0.25, 4.0)
NUDGE = 1e-3

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Mantle:
    """Heat capacity of a mantle in J/K; from it to the flask and of both to the air, in W/K."""

    capacity_j_k: float = 80.0
    to_flask_w_k: float = 0.55
    mantle_to_air_w_k: float = 0.05
    flask_to_air_w_k: float = 0.055


TYPICAL = Mantle()


@dataclass(frozen=True, slots=True)
class Fitted:
    """Constants that were found, and how far the flask is from them on the root mean square."""

    mantle: Mantle
    rms_k: float


def fit(
    times_s: Sequence[float],
    flask_c: Sequence[float],
    power_w: Sequence[float],
    flask_j_k: float,
) -> Fitted:
    """Return the constants that let a flask go as it went, all from rest at room temperature.

    The three sequences have one value per sample; `flask_j_k` is the heat capacity of liquid and
    glass. What is fitted must be in its mantle throughout, nothing added, no fan.

    Raises:
        UsageError: too short, hardly heated, or nothing that such a mantle would do.
    """
    if len(times_s) < 2 or times_s[-1] - times_s[0] < LEAST_S:
        raise UsageError(f"a fit of the mantle wants {LEAST_S / 60:.0f} min of heating and cooling")
    if max(flask_c) - flask_c[0] < LEAST_RISE_K:
        raise UsageError(f"a fit of the mantle wants the flask heated by {LEAST_RISE_K:.0f} K")
    grid = np.arange(times_s[0], times_s[-1], STEP_S)
    seen = np.interp(grid + PROBE_S, times_s, flask_c)
    power = np.interp(grid, times_s, power_w)
    logs = np.zeros(3)
    for _ in range(ROUNDS):
        now = _flask(logs, power, flask_j_k, seen[0])
        slopes = np.stack(
            [(_flask(logs + nudge, power, flask_j_k, seen[0]) - now) / NUDGE
             for nudge in np.eye(3) * NUDGE], axis=1)  # fmt: skip
        step = np.linalg.lstsq(slopes, seen - now, rcond=None)[0]
        logs = np.clip(logs + np.clip(step, -0.5, 0.5), -2.0, 2.0)
    rms_k = float(np.sqrt(np.mean((_flask(logs, power, flask_j_k, seen[0]) - seen) ** 2)))
    low, high = PLAUSIBLE
    if rms_k > WORST_RMS_K or not all(low <= factor <= high for factor in np.exp(logs)):
        raise UsageError(
            f"no mantle does what this flask did (off by {rms_k:.1f} K): was it in its mantle, "
            "stirred, without fan, and is the mantle's power in the rig file right?"
        )
    return Fitted(_mantle(logs), rms_k)


def _mantle(logs: Floats) -> Mantle:
    capacity, couple, losses = (float(factor) for factor in np.exp(logs))
    return Mantle(
        round(TYPICAL.capacity_j_k * capacity, 1),
        round(TYPICAL.to_flask_w_k * couple, 4),
        round(TYPICAL.mantle_to_air_w_k * losses, 4),
        round(TYPICAL.flask_to_air_w_k * losses, 4),
    )


def _flask(logs: Floats, power: Floats, flask_j_k: float, start_c: float) -> Floats:
    """Return how the flask goes from rest at `start_c`, step by step, in °C."""
    capacity, couple, losses = (float(factor) for factor in np.exp(logs))
    mantle_j_k, flow = TYPICAL.capacity_j_k * capacity, TYPICAL.to_flask_w_k * couple
    out, loss = TYPICAL.mantle_to_air_w_k * losses, TYPICAL.flask_to_air_w_k * losses
    ambient4 = (start_c + KELVIN) ** 4
    mantle = flask = 0.0
    found = []
    for given in power.tolist():
        found.append(flask + start_c)
        over_w = flow * (mantle - flask)
        radiated_w = RADIATION_W_K4 * ((flask + start_c + KELVIN) ** 4 - ambient4)
        mantle += STEP_S * (given - over_w - out * mantle) / mantle_j_k
        flask += STEP_S * (over_w - loss * flask - radiated_w) / flask_j_k
    return np.array(found)
