"""Faults of dosing, F29 to F33: what a pump does and what leaves the tip part ways."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from labctl.twin import TwinFault
from simulators.faults.kind import Acts, Bench, FaultKind, Site, argument, kind, lasting
from simulators.plant.fluidics import SyringeLine

_NS: Final = 1_000_000_000


def pump_stall(site: Site) -> Acts:
    """Jam the plunger: the motor stalls, and says so where the pump can."""
    line = _line(site)
    line.jammed = True
    site.acted += 1
    try:
        yield from lasting()
    finally:
        line.jammed = False


def occlusion(site: Site) -> Acts:
    """Clog the line in silence: the pump turns and counts, and nothing comes out."""
    line = _line(site)
    line.occluded = True
    site.acted += 1
    try:
        yield from lasting()
    finally:
        line.occluded = False


def air_bubble(site: Site) -> Acts:
    """Leave an air bubble in the line: what is pushed in comes out late."""
    line = _line(site)
    line.bubble_s = site.number("lag")
    site.acted += 1
    before_ns = site.t_ns
    try:
        while True:
            passed_s, before_ns = (site.t_ns - before_ns) / _NS, site.t_ns
            if passed_s > 0.0:
                site.bench.syringes.settle(site.target, passed_s)
            yield
    finally:
        line.bubble_s = 0.0


def syringe_empty(site: Site) -> Acts:
    """Empty a syringe: less was drawn than the sheet says."""
    line = _line(site)
    line.syringe_ml = min(line.syringe_ml, site.number("left"))
    site.acted += 1
    yield from lasting()


def wrong_syringe(site: Site) -> Acts:
    """Put in a syringe of another bore: the pump counts another volume than it gives."""
    line = _line(site)
    before = line.parameters
    line.parameters = replace(before, scale=before.scale * site.number("gives"))
    site.acted += 1
    try:
        yield from lasting()
    finally:
        line.parameters = before


def _line(site: Site) -> SyringeLine:
    return site.bench.syringes.line(site.target)


def _loaded(bench: Bench, fault: TwinFault) -> bool:
    return bench.syringes.has(fault.target)


_PUMP: Final = "a pump with a loaded syringe"

KINDS: Final[tuple[FaultKind, ...]] = (
    kind("F29", "liquid", pump_stall, _PUMP, _loaded,
         "the pump's alarm ends the dose; the remainder is not given, a person is asked", "device"),
    kind("F30", "liquid", occlusion, _PUMP, _loaded,
         "none: the pump's counter says all is well. Less than planned arrives, never more; the "
         "spectrum may show it", "nobody",
         yet="no second measure of what was delivered"),
    kind("F31", "liquid", air_bubble, _PUMP, _loaded,
         "none: what was dosed arrives late", "nobody",
         argument("lag", 8.0, "its time constant", unit="time", low=0.1, high=600.0),
         yet="no second measure of what was delivered"),
    kind("F32", "liquid", syringe_empty, _PUMP, _loaded,
         "the plunger is at its end: the pump stalls, the dose fails and a person is asked",
         "device",
         argument("left", 0.0, "what is left", unit="volume", high=1000.0)),
    kind("F33", "liquid", wrong_syringe, _PUMP, _loaded,
         "none: the counter is the pump's own and knows of no other bore. With `gives` over 1 more "
         "arrives than planned", "nobody",
         argument("gives", 0.5, "what it gives over what it counts", low=0.05, high=4.0),
         yet="no second measure of what was delivered; the sheet's signature is all"),
)  # fmt: skip
