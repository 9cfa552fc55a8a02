"""Faults of light, F34 to F37: lamp, detector, shutter, and what floats in the beam."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from labctl.twin import Exposure
from simulators.faults.kind import Acts, FaultKind, Site, argument, kind, lasting, touching

_SPECTRA: Final = ("absorbance", "pl")


def lamp_off(site: Site) -> Acts:
    """Put the lamp out."""
    light = site.bench.light
    light.lamp_lit = False
    site.acted += 1
    try:
        yield from lasting()
    finally:
        light.lamp_lit = True


def saturation(site: Site) -> Acts:
    """Let so much more light in that the detector's top is flat."""
    factor = site.number("light")

    def look(exposure: Exposure) -> Exposure:
        site.acted += 1
        return replace(exposure, integration_s=exposure.integration_s * factor)

    with site.touched.looking(look):
        yield from lasting()


def shutter_stuck(site: Site) -> Acts:
    """Stick the lamp's shutter where it is."""
    is_ = site.touched.get("shutter", site.t_ns)

    def force(asked: float) -> float:
        site.acted += asked != is_
        return is_

    with site.touched.forcing("shutter", force, site.now_ns):
        yield from lasting()


def bubble_in_beam(site: Site) -> Acts:
    """Send bubbles through the probe: the absorbance steps up and down, at all wavelengths."""
    light, height_au, share = site.bench.light, site.number("height"), site.number("share")
    try:
        while True:
            there = site.chance.random() < share
            site.acted += there
            light.bubbles_au = height_au if there else 0.0
            yield
    finally:
        light.bubbles_au = 0.0


def turbidity(site: Site) -> Acts:
    """Cloud the flask: a haze that grows to the blue."""
    light = site.bench.light
    light.haze_au = site.number("height")
    site.acted += 1
    try:
        yield from lasting()
    finally:
        light.haze_au = 0.0


_SPECTROMETER: Final = "a spectrometer"
_LAMP: Final = "the spectrometer for absorbance"
_SEES: Final = touching("absorbance")
_HEIGHT: Final = argument("height", 0.3, "of absorbance", unit="absorbance", low=0.001, high=3.0)
_ASKS: Final = "no peak is taken from it; the tracker has nothing, and the step times out and asks"

KINDS: Final[tuple[FaultKind, ...]] = (
    kind("F34", "optics", lamp_off, _LAMP, _SEES, _ASKS, "detector"),
    kind("F35", "optics", saturation, _SPECTROMETER, touching(*_SPECTRA),
         "frames at full scale are refused; exposure is set again where a step does so, else "
         + _ASKS, "detector",
         argument("light", 50.0, "times the light", low=1.0, high=1e4)),
    kind("F36", "optics", shutter_stuck, "the board with the lamp's shutter", touching("shutter"),
         _ASKS, "detector"),
    kind("F37", "optics", bubble_in_beam, _LAMP, _SEES,
         "the baseline is taken all the same; what a row of bubbles does to the decision on "
         "saturation is not tried with this table", "nobody", _HEIGHT,
         argument("share", 0.3, "of the time")),
    kind("F37", "optics", turbidity, _LAMP, _SEES,
         "the baseline under the peak takes it up; what a strong haze does to the decision on "
         "saturation is not tried with this table", "nobody",
         _HEIGHT),
)  # fmt: skip
