"""The control loop inside a simulated temperature controller: PID on a ramped setpoint.

Output and its limits are fractions 0..1, temperatures in °C, rates in K/min, times in s. What is
controlled to is the working setpoint seen through a lag of the derivative time: a mantle cannot be
cooled, so a flask that followed a ramp exactly would coast past its end. The integral works inside
the proportional band only, and not at the limits of the output; so it does not wind up.
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


MANTLE = Tuning(band_k=11.4, integral_s=150.0, derivative_s=63.0, slope_s_k=1.4)
LINE = Tuning(band_k=10.0, integral_s=60.0, derivative_s=0.0, slope_s_k=0.6)


class ControlLoop:
    """Target and measured temperature in, output out; call `step` once per control period.

    Inputs, free to change between steps: `tuning`, `target_c`, `rate_k_min` (0: at once),
    `manual`, `manual_output` (which follows the output while automatic) and `high`. Going from
    manual to automatic starts from the output and the temperature of that moment.
    """

    __slots__ = (
        "_filtered_k",
        "_integral",
        "_reference_c",
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
        self.target_c = self.working_c = self._reference_c = 0.0
        self.rate_k_min = 0.0
        self.manual = False
        self.high = 1.0
        self.manual_output = self.output = 0.0
        self._integral = self._filtered_k = 0.0

    def start(self, measured_c: float) -> None:
        """Begin as after power-up: from the measured temperature, with no output."""
        self.working_c = measured_c
        self._hold(measured_c, 0.0)

    def step(self, measured_c: float, dt_s: float) -> float:
        """Move on by one period and return the output."""
        if self.working_c != self.target_c:
            self._move_setpoint(dt_s)
        if self.manual:
            self._hold(measured_c, min(self.manual_output, self.high))
            return self.output
        tuning = self.tuning
        slope_k_s = (self.working_c - self._reference_c) / (tuning.derivative_s + dt_s)
        self._reference_c += slope_k_s * dt_s
        error_k = self._reference_c - measured_c
        wanted_k = error_k + self._trend_k(error_k, dt_s)
        total = wanted_k / tuning.band_k + tuning.slope_s_k * slope_k_s + self._integral
        output = 0.0 if total < 0.0 else total
        self.output = self.manual_output = self.high if output > self.high else output
        if tuning.integral_s and 0.0 < total < self.high and abs(error_k) < tuning.band_k:
            self._integral += error_k / tuning.band_k * dt_s / tuning.integral_s
        return self.output

    def cut(self, measured_c: float, dt_s: float) -> float:
        """Move on by one period with the output off in either mode: nothing to control by."""
        self._move_setpoint(dt_s)
        self._hold(measured_c, 0.0)
        if not self.manual:
            self.manual_output = 0.0
        return self.output

    def _hold(self, measured_c: float, output: float) -> None:
        self.output = self._integral = output
        self._reference_c = measured_c
        self._filtered_k = 0.0

    def _move_setpoint(self, dt_s: float) -> None:
        """Move the working setpoint to the target at the rate."""
        left_k = self.target_c - self.working_c
        step_k = self.rate_k_min / 60.0 * dt_s
        if step_k == 0.0 or abs(left_k) <= step_k:
            self.working_c = self.target_c
        else:
            self.working_c += math.copysign(step_k, left_k)

    def _trend_k(self, error_k: float, dt_s: float) -> float:
        """Return the filtered derivative of the error times the derivative time."""
        derivative_s = self.tuning.derivative_s
        if derivative_s == 0.0:
            return 0.0
        filter_s = derivative_s / _DERIVATIVE_GAIN
        self._filtered_k += (error_k - self._filtered_k) * dt_s / (filter_s + dt_s)
        return _DERIVATIVE_GAIN * (error_k - self._filtered_k)
