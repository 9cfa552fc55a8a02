"""What happens in a flask: courses of the 1S peak by kind of reaction, drawn at random."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from benchmarks.courses import HORIZON_S, LONGEST_S, Course, Curve, Floats, joined

Rng = np.random.Generator


def exponential(amplitude_nm: float, tau_s: float) -> Curve:
    """A first-order rise from t = 0."""
    return lambda t: amplitude_nm * -np.expm1(-np.maximum(t, 0.0) / tau_s)


def paused(shift: Curve, start_s: float, length_s: float) -> Curve:
    """The same course with the reaction standing still for a while."""
    return lambda t: shift(t - np.clip(t - start_s, 0.0, length_s))


def amplitude(rng: Rng) -> float:
    """A shift in nm, to the blue in one run of four."""
    return float(rng.uniform(3.0, 25.0) * rng.choice([1.0, 1.0, 1.0, -1.0]))


def between(rng: Rng, low: float, high: float) -> float:
    """A number drawn evenly in its logarithm."""
    return float(np.exp(rng.uniform(math.log(low), math.log(high))))


def _course(rng: Rng, shift: Curve) -> Course:
    return Course(shift, sigma_nm=rng.uniform(0.05, 0.15))


def plain(rng: Rng) -> Course:
    """The ordinary run: first order, time constant 80-350 s, noise 0.05-0.15 nm."""
    return _course(rng, exponential(amplitude(rng), between(rng, 80.0, 350.0)))


def noisy(rng: Rng) -> Course:
    """The ordinary run with a noise of 0.25-0.4 nm."""
    return replace(plain(rng), sigma_nm=rng.uniform(0.25, 0.4))


def fast(rng: Rng) -> Course:
    """Over in a minute or two."""
    return _course(rng, exponential(amplitude(rng), between(rng, 15.0, 60.0)))


def slow(rng: Rng) -> Course:
    """Time constants of 350-1000 s."""
    return _course(rng, exponential(amplitude(rng), between(rng, 350.0, 1000.0)))


def small(rng: Rng) -> Course:
    """A shift of 2-4 nm."""
    return _course(rng, exponential(rng.uniform(2.0, 4.0), between(rng, 80.0, 350.0)))


def blueshift(rng: Rng) -> Course:
    """In for Zn: the peak goes to the blue."""
    return _course(rng, exponential(-rng.uniform(2.0, 15.0), between(rng, 80.0, 500.0)))


def biexponential(rng: Rng) -> Course:
    """A tenth to a half of the shift comes slowly."""
    total, part = amplitude(rng), rng.uniform(0.1, 0.5)
    quick = exponential(total * (1 - part), between(rng, 30.0, 120.0))
    return _course(rng, joined(quick, exponential(total * part, between(rng, 300.0, 1100.0))))


def stretched(rng: Rng) -> Course:
    """A spread of rates: exp(-(t/tau)^beta), beta 0.55-0.8."""
    total, tau, beta = amplitude(rng), between(rng, 60.0, 250.0), rng.uniform(0.55, 0.8)
    return _course(rng, lambda t: total * -np.expm1(-((np.maximum(t, 0.0) / tau) ** beta)))


def second_order(rng: Rng) -> Course:
    """Two reactants run out together, or Langmuir sites fill: t / (t + tau)."""
    total, tau = rng.uniform(3.0, 15.0), between(rng, 20.0, 150.0)
    return _course(rng, lambda t: total * t / (t + tau))


def power_law(rng: Rng) -> Course:
    """An order of 1.6 to 2.2: 1 - (1 + t/tau)^-p, p 0.8-1.7."""
    total, tau, power = amplitude(rng), between(rng, 30.0, 200.0), rng.uniform(0.8, 1.7)
    return _course(rng, lambda t: total * (1.0 - (1.0 + np.maximum(t, 0.0) / tau) ** -power))


def parabolic(rng: Rng) -> Course:
    """Diffusion through the shell: never ends."""
    pace = rng.uniform(0.15, 0.5)
    return _course(rng, lambda t: pace * np.sqrt(np.maximum(t, 0.0)))


def slow_tail(rng: Rng) -> Course:
    """A fast shift and then 0.04-0.12 nm/min for ever."""
    quick, pace = plain(rng), rng.choice([-1.0, 1.0]) * rng.uniform(0.04, 0.12) / 60.0
    return replace(quick, shift=joined(quick.shift, lambda t: pace * t))


def blue_then_red(rng: Rng) -> Course:
    """In for Zn at first, then the shell."""
    blue = exponential(-rng.uniform(2.0, 5.0), between(rng, 40.0, 90.0))
    red = exponential(rng.uniform(6.0, 15.0), between(rng, 250.0, 500.0))
    return _course(rng, joined(blue, red))


def delayed(rng: Rng) -> Course:
    """Nothing for 2-8 min, then the ordinary run."""
    base, wait = plain(rng), rng.uniform(120.0, 480.0)
    return replace(base, shift=lambda t: base.shift(t - wait), start_s=wait)


def delayed_held(rng: Rng) -> Course:
    """The same, the recipe holding until the precursor is in."""
    base = delayed(rng)
    return replace(base, hold=lambda t: t < base.start_s, kind="held")


def second_rise(rng: Rng) -> Course:
    """A plateau of 2-5 min and a second portion that nobody reported."""
    total, tau = amplitude(rng), between(rng, 40.0, 90.0)
    # The plateau begins where 0.2 nm are left.
    wait = tau * math.log(abs(total) / 0.2) + rng.uniform(120.0, 300.0)
    second = exponential(amplitude(rng), between(rng, 80.0, 350.0))
    shift = joined(exponential(total, tau), lambda t: second(t - wait))
    return replace(_course(rng, shift), start_s=wait, kind="ambiguous")


def second_rise_held(rng: Rng) -> Course:
    """The same, the recipe holding until the second portion is in."""
    base = second_rise(rng)
    return replace(base, hold=lambda t: (t > 150.0) & (t < base.start_s + 30.0), kind="held")


def stirrer(rng: Rng) -> Course:
    """The stirrer stands for 2-5 min and nobody reported it."""
    base, start, length = plain(rng), rng.uniform(100.0, 300.0), rng.uniform(120.0, 300.0)
    return replace(base, shift=paused(base.shift, start, length), kind="ambiguous")


def stirrer_held(rng: Rng) -> Course:
    """The same, reported."""
    base, start, length = plain(rng), rng.uniform(100.0, 300.0), rng.uniform(120.0, 300.0)
    return replace(
        base,
        shift=paused(base.shift, start, length),
        hold=lambda t: (t > start) & (t < start + length),
        kind="held",
    )


def held_tail(rng: Rng) -> Course:
    """A long-tailed run that is first seen after an injection has been held for."""
    base = (stretched, power_law, biexponential)[int(rng.integers(3))](rng)
    until = rng.uniform(60.0, 300.0)
    return replace(base, hold=lambda t: (t > 20.0) & (t < until), kind="held")


def zns(rng: Rng) -> Course:
    """Stage II of InP/ZnS: S at 120 °C, 10 K/min to 250 °C, the reaction running all the way."""
    tau, total = rng.uniform(130.0, 330.0), rng.uniform(12.0, 18.0)
    grid = np.arange(0.0, HORIZON_S + LONGEST_S, 5.0)
    hot_c = np.minimum(120.0 + grid / 6.0, 250.0)
    pace = np.exp(-8000.0 * (1.0 / (hot_c + 273.15) - 1.0 / 523.15)) / tau
    extent = np.cumsum(pace) * 5.0

    def temperature(t: Floats) -> Floats:
        return np.minimum(120.0 + t / 6.0, 250.0)

    return replace(
        _course(rng, lambda t: total * -np.expm1(-np.interp(t, grid, extent))),
        temperature=temperature,
        start_s=780.0,
        coefficient_error=0.1,
        band=0.005,
    )


def aliquots(rng: Rng) -> Course:
    """A sample to the cuvette every 2-5 min; time constants of 5-15 min."""
    return replace(
        _course(rng, exponential(amplitude(rng), between(rng, 300.0, 900.0))),
        every_s=rng.uniform(120.0, 300.0),
        temperature=lambda t: np.full_like(t, 25.0),
        run_s=14400.0,
    )


def nothing(rng: Rng) -> Course:
    """No reaction at all."""
    return replace(_course(rng, lambda t: 0.0 * t), kind="fault")


def warmed(rng: Rng) -> Course:
    """A finished sample taken from 200 to 250 °C, the coefficient wrong by up to a quarter."""
    begin = rng.uniform(300.0, 900.0)

    def temperature(t: Floats) -> Floats:
        return 200.0 + np.clip((t - begin) / 6.0, 0.0, 50.0)

    return replace(nothing(rng), temperature=temperature, band=0.25 * 0.09, kind="idle")


KINETICS: dict[str, Callable[[Rng], Course]] = {
    "clean": plain,
    "noisy": noisy,
    "fast": fast,
    "slow": slow,
    "small shift": small,
    "blueshift": blueshift,
    "biexponential": biexponential,
    "stretched": stretched,
    "second order": second_order,
    "power law": power_law,
    "parabolic, never": parabolic,
    "slow tail, never": slow_tail,
    "blue then red": blue_then_red,
    "delayed onset": delayed,
    "ZnS stage II": zns,
    "aliquots": aliquots,
    "second rise": second_rise,
    "stirrer stop": stirrer,
    "delayed onset, hold": delayed_held,
    "second rise, hold": second_rise_held,
    "stirrer stop, hold": stirrer_held,
    "long tail, hold": held_tail,
    "no reaction": nothing,
    "warmed, no reaction": warmed,
}
