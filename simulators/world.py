"""The simulated rig: instruments that answer bytes, the flask they share, and a person.

Time moves when somebody asks for it. Every 250 ms all instruments advance, in the order of their
names, then heat; every whole second what has dripped is mixed in and gas and reaction move. All
times are ns since the run began; docs/explanations/simulated-world.md lists the things with units.
"""

from __future__ import annotations

import importlib
import random
from array import array
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Final, Protocol, runtime_checkable

from labctl.capabilities import Operator
from labctl.chemistry.constants import ROOM_C
from labctl.errors import UnknownNameError
from labctl.readings import Spectrum
from labctl.twin import Exposure, FaultSeen, Link, Plant, SimDevice, TwinDevice, TwinSpec, stream
from simulators import CATALOG, others
from simulators.faults import FAULTS
from simulators.faults.kind import Bench, Cable
from simulators.faults.lines import FaultyLine, Tap
from simulators.faults.schedule import Faults
from simulators.faults.touched import TouchedPlant
from simulators.misread import Misread
from simulators.operator import SimOperator
from simulators.plant.contents import Stock, stock_of
from simulators.plant.thermal import LineHeater, LineHeaterParameters
from simulators.world_flask import Flask
from simulators.world_light import Cuvette, Light
from simulators.world_syringes import Syringes
from simulators.world_things import Things

TICK_NS: Final = 250_000_000
_SECOND_NS: Final = 1_000_000_000
_PRESSED_NS: Final = 3_000_000_000
_FLUSH: Final = "flush."
_DIGITS: Final = 6


def build_world(spec: TwinSpec) -> RigWorld:
    """Build the simulated world of a rig.

    Raises:
        UnknownNameError: an instrument's kind, a reagent, a substance, a fault or its target.
        UsageError: a fault does nothing to its target, a reagent makes no sense, or a syringe is
            over-full.
    """
    return RigWorld(spec)


@runtime_checkable
class Talker(Protocol):
    """An instrument that may say something unasked; `speaks` while it has something to say."""

    @property
    def speaks(self) -> bool:
        """Whether something waits to be said."""
        ...


_SPEAKS: Final = attrgetter("speaks")


class RigWorld:
    """The whole rig as one object: the plant for its instruments, the world for the session."""

    def __init__(self, spec: TwinSpec) -> None:
        self.spec = spec
        self._stocks = {reagent.name: stock_of(reagent) for reagent in spec.reagents}
        self._streams: dict[str, random.Random] = {}
        self.due_ns = TICK_NS
        self._plant_ns = 0
        self._released_ns: int | None = None
        self.flask = Flask(spec, self._stocks.values())
        self._warm = LineHeater(LineHeaterParameters(ambient_c=spec.vessel.ambient_c))
        self._light = Light(spec)
        self._cuvette = Cuvette(spec.seed)
        self._things = Things(self.flask, self._warm, self._light, self._settle)
        self._syringes = Syringes(spec, self._stocks, self._things.get)
        for pump, drawn_ml in self._syringes.drawn().items():
            self._things.put(f"syringe.{pump}.drawn", drawn_ml)
        touched = {row.name: TouchedPlant(self) for row in spec.devices} if spec.faults else {}
        self._devices = {
            device.name: _simulated(device, touched.get(device.name, self))
            for device in sorted(spec.devices, key=lambda row: row.name)
        }
        self._talkers: dict[str, list[Talker]] = {}
        for row in spec.devices:
            device = self._devices[row.name]
            if isinstance(device, Talker):
                self._talkers.setdefault(row.port, []).append(device)
        if any("contactor" in row.touches.values() for row in spec.devices):
            self._things.put("contactor", 0.0)
        self._clockwork = tuple(device.advance for device in self._devices.values())
        self._bench = Bench(
            spec,
            self.flask,
            self._light,
            self._syringes,
            self._devices,
            touched,
            {name: Tap() for row in spec.devices for name in (row.port, row.name)},
            {row.port: Cable() for row in spec.devices},
        )
        self._faults = Faults(self._bench, FAULTS) if spec.faults else None
        self._person = SimOperator(self)
        self.operator: Operator = self._person

    def follow(self, now_ns: Callable[[], int]) -> None:
        """Tell the world where the run's time comes from; the simulated person needs it."""
        self._person.follow(now_ns)

    def line(self, port: str) -> SimDevice:
        """Return what answers on a port, with the world brought to the time of every question.

        Raises:
            UnknownNameError: no instrument is on that port.
        """
        on_port = [row.name for row in self.spec.devices if row.port == port]
        if not on_port:
            raise UnknownNameError("port", port, {row.port for row in self.spec.devices})
        if self._faults is not None:
            taps = self._bench.taps
            devices = {name: (self._devices[name], taps[name]) for name in sorted(on_port)}
            return FaultyLine(taps[port], devices, self._bring_to)
        return _Line(self, tuple(self._devices[name] for name in sorted(on_port)))

    def link(self, port: str, t_ns: int) -> Link:
        """Say whether a port can be used at `t_ns`."""
        self._bring_to(t_ns)
        cable = self._bench.cables[port]
        return Link(cable.lost, cable.busy, cable.pulled)

    def contactor(self, t_ns: int, *, closed: bool) -> None:
        """Close or open the heater's contactor, as a guard does."""
        self.put("contactor", float(closed), t_ns)

    def began(self, anchor: str, t_ns: int) -> None:
        """Hear that a stage or a step of the recipe begins."""
        if self._faults is not None:
            self.advance(t_ns)
            self._faults.began(anchor, t_ns)

    def faults(self) -> tuple[FaultSeen, ...]:
        """Return what became of the faults asked for."""
        return () if self._faults is None else self._faults.seen()

    def speaks(self, port: str) -> bool:
        """Say whether an instrument on a port has something to say that nobody asked for."""
        if self._faults is not None and self._bench.taps[port].junk:
            return True
        talkers = self._talkers.get(port)
        return talkers is not None and any(map(_SPEAKS, talkers))

    def device(self, name: str) -> SimDevice:
        """Return one simulated instrument.

        Raises:
            UnknownNameError: the rig has no such instrument.
        """
        if name not in self._devices:
            raise UnknownNameError("instrument", name, self._devices)
        return self._devices[name]

    def advance(self, t_ns: int) -> None:
        """Bring everything to the last tick at or before `t_ns`; never goes back."""
        while self.due_ns <= t_ns:
            self._tick(self.due_ns)

    def get(self, thing: str, t_ns: int) -> float:
        """Return what a sensor sees; an unknown thing is what was last put, else 0."""
        if self.due_ns <= t_ns:
            self.advance(t_ns)
        return self._things.get(thing)

    def put(self, thing: str, value: float, t_ns: int) -> None:
        """Act on a thing; an unknown one remembers the value."""
        if self.due_ns <= t_ns:
            self.advance(t_ns)
        self._things.put(thing, value)
        if thing.startswith(_FLUSH):
            self._syringes.flush(thing.removeprefix(_FLUSH))

    def move(self, syringe: str, volume_ml: float, t_ns: int) -> float:
        """Turn the pump `syringe.NAME`; return what it turned in mL.

        Raises:
            UnknownNameError: no syringe is in that pump.
        """
        self.advance(t_ns)
        return self._syringes.move(syringe.removeprefix("syringe."), volume_ml)

    def counts(self, which: str, exposure: Exposure, t_ns: int) -> array[int]:
        """Expose the spectrometer `which` to the flask.

        Raises:
            UnknownNameError: neither `absorbance` nor `pl`.
        """
        self.advance(t_ns)
        return self._light.counts(which, exposure, self.flask, t_ns)

    def stream(self, name: str) -> random.Random:
        """Return the random stream of one component; the same name gives the same object."""
        if name not in self._streams:
            self._streams[name] = stream(self.spec.seed, name)
        return self._streams[name]

    def knows(self, thing: str) -> bool:
        """Say whether a thing can be read off the rig."""
        return self._things.knows(thing)

    def charge(self, reagent: str, volume_ml: float, t_ns: int) -> None:
        """Pour a reagent in by hand, at 25 °C and at once.

        Raises:
            UnknownNameError: the recipe has no such reagent.
        """
        self.advance(t_ns)
        self._settle()
        self.flask.pour(self._stock(reagent), volume_ml, ROOM_C)

    def weighed_g(self, pump: str, t_ns: int) -> float:
        """Return the mass in g of all that a pump has pushed elsewhere than into the flask.

        Raises:
            UnknownNameError: no syringe is in that pump.
        """
        self.advance(t_ns)
        return self._syringes.wasted_g(pump)

    def press(self, t_ns: int) -> None:
        """Press the button for three seconds: a hand injection has begun."""
        self.advance(t_ns)
        self._things.put("button", 1.0)
        self._released_ns = t_ns + _PRESSED_NS

    def sample(self, volume_ml: float, t_ns: int) -> tuple[Mapping[str, Spectrum], float | None]:
        """Draw an aliquot; return its cuvette spectra and its true peak at 25 °C in nm."""
        self.advance(t_ns)
        self._settle()
        aliquot = self.flask.draw(volume_ml)
        return self._cuvette.spectra(aliquot, t_ns), aliquot.peak_nm or None

    def peak_25c_nm(self, t_ns: int) -> float | None:
        """Return the true first-exciton peak at 25 °C; None without dots."""
        self.advance(t_ns)
        looks = self.flask.dots.looks()
        return None if looks is None else looks.peak_nm

    def truth(self, t_ns: int) -> Mapping[str, float]:
        """Return the plant's true state, by name with unit."""
        self.advance(t_ns)
        warm = {"warm_c": self._warm.temperature_c}
        parts = (warm, self.flask.truth(), self._syringes.truth(), self._things.valves())
        return {name: round(value, _DIGITS) for part in parts for name, value in part.items()}

    def product(self, t_ns: int) -> Mapping[str, float]:
        """Return what is in the flask: layers, qy, peak_nm at 25 °C and the like."""
        self.advance(t_ns)
        product = {**self.flask.dots.product(), "volume_ml": self.flask.contents.cold_ml}
        return {name: round(value, _DIGITS) for name, value in product.items()}

    def _bring_to(self, t_ns: int) -> None:
        """Bring everything to `t_ns`, faults to the instant."""
        self.advance(t_ns)
        if self._faults is not None:
            self._faults.bring_to(t_ns)

    def _settle(self) -> None:
        """Mix in what has dripped and bring gas and reaction to the last tick."""
        self._syringes.pour(self.flask)
        self.flask.settle(self._plant_ns)

    def _tick(self, t_ns: int) -> None:
        self.due_ns = t_ns + TICK_NS
        for advance in self._clockwork:
            advance(t_ns)
        if self._faults is not None:
            self._faults.tick(t_ns)
        self.flask.thermal.advance(t_ns)
        self._warm.advance(t_ns)
        self._plant_ns = t_ns
        if t_ns % _SECOND_NS == 0:
            self._settle()
            if self._released_ns is not None and self._released_ns <= t_ns:
                self._things.put("button", 0.0)
                self._released_ns = None

    def _stock(self, reagent: str) -> Stock:
        if reagent not in self._stocks:
            raise UnknownNameError("reagent", reagent, self._stocks)
        return self._stocks[reagent]


class _Line:
    """One port: brings the world to the time of every question, then all on the line hear it."""

    def __init__(self, world: RigWorld, devices: tuple[SimDevice, ...]) -> None:
        self._world = world
        self._devices = devices

    def feed(self, data: bytes, t_ns: int) -> list[tuple[int, bytes]]:
        """Let the instruments hear bytes that arrived at `t_ns`; return what they answer."""
        if self._world.due_ns <= t_ns:
            self._world.advance(t_ns)
        if len(self._devices) == 1:
            return self._devices[0].feed(data, t_ns)
        return [reply for device in self._devices for reply in device.feed(data, t_ns)]

    def advance(self, t_ns: int) -> None:
        """Bring the whole world to `t_ns`."""
        self._world.advance(t_ns)


def _simulated(device: TwinDevice, plant: Plant) -> SimDevice:
    """Build one instrument.

    Raises:
        UnknownNameError: no simulator of that kind.
    """
    row = CATALOG.get(device.kind) or others().get(device.kind)
    if row is None:
        raise UnknownNameError("simulated instrument", device.kind, {**CATALOG, **others()})
    module, _, name = row.target.partition(":")
    kind: Callable[[TwinDevice, Plant], SimDevice] = getattr(importlib.import_module(module), name)
    return kind(device, Misread(plant, device) if device.misreads else plant)
