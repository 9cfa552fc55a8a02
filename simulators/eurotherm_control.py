"""The control loop inside a simulated temperature controller: PID on a ramped setpoint.

Output and its limits are fractions 0..1, temperatures in °C, rates in K/min, times in s. The
integral does not wind up: it stands still while the output is at the limit that the error pushes
it to. Changing between manual and automatic does not bump the output.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

_DERIVATIVE_GAIN = 8.0  # how much faster than the derivative time its filter is


@dataclass(frozen=True, slots=True)
class Tuning:
    """What an autotune would have found for one heater and what it heats.

    Proportional band in K, integral and derivative times in s (0: none); `slope_s_k` is the output
    that keeps a ramp of 1 K/s going, so that the integral need not find it anew in each ramp.
    """

    band_k: float
    integral_s: float
    derivative_s: float
    slope_s_k: float


MANTLE = Tuning(band_k=11.4, integral_s=150.0, derivative_s=63.0, slope_s_k=1.76)
LINE = Tuning(band_k=16.7, integral_s=60.0, derivative_s=0.0, slope_s_k=0.6)


class ControlLoop:
    """Target and measured temperature in, output out; call `step` once per control period.

    Inputs, free to change between steps: `tuning`, `target_c`, `rate_k_min` (0: at once),
    `manual`, `manual_output` (which follows the output while automatic) and `high`.
    """

    __slots__ = (
        "_filtered_k",
        "_integral",
        "high",
        "manual",
        "manual_output",
        "output",
        "rate_k_min",
        "target_c",
        "tuning",
        "working_c",
    )

    def __init__(self, tuning: Tuning) -> None:
        self.tuning = tuning
        self.target_c = self.working_c = 0.0
        self.rate_k_min = 0.0
        self.manual = False
        self.high = 1.0
        self.manual_output = self.output = 0.0
        self._integral = self._filtered_k = 0.0

    def start(self, measured_c: float) -> None:
        """Begin as after power-up: from the measured temperature, with no integral."""
        self.working_c = measured_c
        self.output = self._integral = self._filtered_k = 0.0

    def step(self, measured_c: float, dt_s: float) -> float:
        """Move on by one period and return the output."""
        tuning = self.tuning
        slope_k_s = self._move_setpoint(dt_s)
        error_k = self.working_c - measured_c
        wanted_k = error_k + self._trend_k(error_k, dt_s)
        demand = wanted_k / tuning.band_k + tuning.slope_s_k * slope_k_s
        if self.manual:
            self.output = min(self.manual_output, self.high)
            self._integral = min(max(self.output - demand, 0.0), self.high)
            return self.output
        total = demand + self._integral
        self.output = self.manual_output = min(max(total, 0.0), self.high)
        pushing = (total > self.high and error_k > 0) or (total < 0 and error_k < 0)
        if tuning.integral_s and not pushing:
            self._integral += error_k / tuning.band_k * dt_s / tuning.integral_s
        return self.output

    def cut(self, measured_c: float, dt_s: float) -> float:
        """Move on by one period with the output off, whatever the mode: nothing to control by."""
        self.step(measured_c, dt_s)
        self.output = self._integral = 0.0
        if not self.manual:
            self.manual_output = 0.0
        return 0.0

    def _move_setpoint(self, dt_s: float) -> float:
        """Move the working setpoint to the target at the rate; return its slope in K/s."""
        left_k = self.target_c - self.working_c
        slope_k_s = self.rate_k_min / 60.0
        if slope_k_s == 0.0 or abs(left_k) <= slope_k_s * dt_s:
            self.working_c = self.target_c
            return 0.0
        slope_k_s = math.copysign(slope_k_s, left_k)
        self.working_c += slope_k_s * dt_s
        return slope_k_s

    def _trend_k(self, error_k: float, dt_s: float) -> float:
        """Return the filtered derivative of the error times the derivative time."""
        derivative_s = self.tuning.derivative_s
        if derivative_s == 0.0:
            return 0.0
        filter_s = derivative_s / _DERIVATIVE_GAIN
        self._filtered_k += (error_k - self._filtered_k) * dt_s / (filter_s + dt_s)
        return _DERIVATIVE_GAIN * (error_k - self._filtered_k)
