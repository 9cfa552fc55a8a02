"""What a fault is made of: its listing, what it fits, and a generator that is the fault at work.

The generator does its harm up to its first `yield`, goes on at every tick of the world, and undoes
the harm when it is closed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass

from labctl.twin import FaultArgument, FaultListing, SimDevice, TwinDevice, TwinFault, TwinSpec
from simulators.faults.lines import Tap
from simulators.faults.touched import TouchedPlant
from simulators.world_flask import Flask
from simulators.world_light import Light
from simulators.world_syringes import Syringes

Acts = Generator[None, None, None]
FLASK = "flask"


@dataclass
class Cable:
    """A port as its plug is: `lost` says why it is gone, `busy` who else has it; times pulled."""

    lost: str = ""
    busy: str = ""
    pulled: int = 0


@dataclass(frozen=True)
class Bench:
    """The parts of a world that faults reach: plants, instruments, lines."""

    spec: TwinSpec
    flask: Flask
    light: Light
    syringes: Syringes
    devices: Mapping[str, SimDevice]
    touched: Mapping[str, TouchedPlant]
    taps: Mapping[str, Tap]
    cables: Mapping[str, Cable]

    def row(self, device: str) -> TwinDevice | None:
        """Return the spec of an instrument, if there is one of that name."""
        return next((row for row in self.spec.devices if row.name == device), None)

    def toucher(self, thing: str) -> str:
        """Return the instrument that acts on, or sees, a thing of the plant; empty if none."""
        found = (row.name for row in self.spec.devices if thing in row.touches.values())
        return next(found, "")


@dataclass
class Site:
    """One fault where it is at work: its arguments, its chance, the time, how often it acted."""

    bench: Bench
    fault: TwinFault
    chance: random.Random
    t_ns: int = 0
    acted: int = 0

    @property
    def target(self) -> str:
        """The port, instrument or vessel."""
        return self.fault.target

    def number(self, name: str) -> float:
        """Return an argument that is a number."""
        return float(self.fault.arguments[name])

    def word(self, name: str) -> str:
        """Return an argument that is a word."""
        return str(self.fault.arguments[name])

    def now_ns(self) -> int:
        """Return the world's time."""
        return self.t_ns

    @property
    def touched(self) -> TouchedPlant:
        """The plant as the target touches it; for a vessel, as its heater does."""
        name = self.bench.toucher("heater") if self.target == FLASK else self.target
        return self.bench.touched[name]


@dataclass(frozen=True)
class FaultKind:
    """A fault by name: what lists show, what it fits, how it works."""

    listing: FaultListing
    fits: Callable[[Bench, TwinFault], bool]
    acts: Callable[[Site], Acts]


def lasting() -> Acts:
    """Go on until closed."""
    while True:
        yield


def device(bench: Bench, fault: TwinFault) -> bool:
    """Fit any instrument."""
    return fault.target in bench.devices


def port(bench: Bench, fault: TwinFault) -> bool:
    """Fit any port."""
    return fault.target in bench.cables


def line(bench: Bench, fault: TwinFault) -> bool:
    """Fit a port, or one instrument on it."""
    return fault.target in bench.taps


def vessel(bench: Bench, fault: TwinFault) -> bool:
    """Fit the vessel in use."""
    return fault.target == FLASK


def touching(*things: str) -> Callable[[Bench, TwinFault], bool]:
    """Fit an instrument that touches one of these things."""

    def fits(bench: Bench, fault: TwinFault) -> bool:
        row = bench.row(fault.target)
        return row is not None and any(thing in row.touches.values() for thing in things)

    return fits


def able(*methods: str) -> Callable[[Bench, TwinFault], bool]:
    """Fit an instrument whose simulator has one of these methods or attributes."""

    def fits(bench: Bench, fault: TwinFault) -> bool:
        found = bench.devices.get(fault.target)
        return found is not None and any(hasattr(found, name) for name in methods)

    return fits


def either(*fits: Callable[[Bench, TwinFault], bool]) -> Callable[[Bench, TwinFault], bool]:
    """Fit what one of several fits."""
    return lambda bench, fault: any(one(bench, fault) for one in fits)


def argument(
    name: str,
    default: float | str,
    means: str,
    *,
    unit: str = "",
    low: float = 0.0,
    high: float = 1.0,
) -> FaultArgument:
    """Return one argument; `unit` is a dimension, or "word"."""
    return FaultArgument(name, unit, default, low, high, means)


def kind(
    number: str,
    family: str,
    acts: Callable[[Site], Acts],
    targets: str,
    fits: Callable[[Bench, TwinFault], bool],
    reaction: str,
    noticed_by: str,
    *arguments: FaultArgument,
    yet: str = "",
) -> FaultKind:
    """Return a fault named and described as its function is."""
    does = " ".join((acts.__doc__ or "").split())
    name = acts.__name__
    listing = FaultListing(
        name, number, family, targets, does, reaction, noticed_by, arguments, yet
    )
    return FaultKind(listing, fits, acts)
