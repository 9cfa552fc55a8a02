"""The seam between a rig and its simulated twin: what a twin is built from, and what it offers."""

from __future__ import annotations

import hashlib
import random
from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from labctl.capabilities import DeviceSettings, Operator
from labctl.readings import Correction


def seed_of(seed: int, name: str) -> int:
    """Derive the seed of one named stream: adding a device changes no other stream."""
    digest = hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def stream(seed: int, name: str) -> random.Random:
    """Make the random stream of one component of the world."""
    return random.Random(seed_of(seed, name))  # noqa: S311 - a simulation, not a secret


@dataclass(frozen=True, slots=True)
class TwinDevice:
    """One instrument of the twin: its kind, line and settings, and what in the world it touches.

    `touches` maps a part of the instrument ("probe", an output, an input, a channel) to a thing
    of the world: `heater`, `warm`, `flask.T`, `flask.T2`, `stirrer`, `valve.n2`,
    `valve.vac_rough`, `valve.vac_fine`, `valve.line_1`, `jack`, `fan`, `shutter`, `fine_pump`,
    `rough_pump`, `flask.P`, `line.P`, `n2_pressure`, `n2_flow`, `hood_flow`, `button`, `estop`,
    `syringe.NAME`, `syringe.NAME.drawn`, `absorbance`, `pl`, `laser`. `misreads` maps a part to
    the error of its sensor, as the rig's calibration says it.
    """

    name: str
    kind: str
    port: str
    settings: DeviceSettings
    touches: Mapping[str, str] = field(default_factory=dict)
    misreads: Mapping[str, Correction] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TwinSyringe:
    """A loaded syringe and its line; volumes in mL, diameter of the line in mm."""

    device: str
    reagent: str
    drawn_ml: float
    dead_ml: float
    hold_up_ml: float
    delivered_fraction: float
    valve: str = ""
    warmed_by: str = ""


@dataclass(frozen=True, slots=True)
class TwinVessel:
    """The vessel with its mantle; volumes in mL, W, J/K, W/K, °C."""

    volume_ml: float
    mantle_w: float
    glass_j_k: float
    ambient_c: float = 22.0
    mantle_j_k: float = 80.0
    mantle_to_flask_w_k: float = 0.55
    mantle_to_air_w_k: float = 0.05
    flask_to_air_w_k: float = 0.055


@dataclass(frozen=True, slots=True)
class TwinReagent:
    """What a reagent is, as the recipe's `is:` writes it, with today's concentration in mol/L."""

    name: str
    composition: str
    concentration_mol_l: float | None


@dataclass(frozen=True, slots=True)
class TwinFault:
    """A fault to come: what, where, and when (`labctl.faults` reads the words of a person).

    `target` is a device, a port or a vessel of the twin; `anchor` a stage or step id, or nothing
    for the run's start; `delay_s` counts from the anchor. `duration_s` None lasts to the end.
    """

    name: str
    target: str
    arguments: Mapping[str, float | str] = field(default_factory=dict)
    anchor: str = ""
    delay_s: float = 0.0
    duration_s: float | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class FaultArgument:
    """One argument of a fault: a quantity of a dimension, a number (""), or a word ("word")."""

    name: str
    dimension: str
    default: float | str
    low: float = 0.0
    high: float = 1.0
    means: str = ""


@dataclass(frozen=True, slots=True)
class FaultListing:
    """A fault as lists show it: its number, what it does, to what, and how labctl reacts today.

    `noticed_by` names who notices: transport, driver, device, interlock, step, detector, person,
    or nobody; `yet` what labctl does not do about it yet, where the rig is not safe so far.
    """

    name: str
    number: str
    family: str
    targets: str
    does: str
    reaction: str
    noticed_by: str
    arguments: tuple[FaultArgument, ...] = ()
    yet: str = ""


@dataclass(frozen=True, slots=True)
class FaultSeen:
    """What became of a fault: when it began and ended (ns, None: it did not), how often it acted.

    `acted` counts replies struck, readings bent or commands ignored; a fault of the plant acts
    once, when it begins.
    """

    text: str
    began_ns: int | None
    ended_ns: int | None
    acted: int


@dataclass(frozen=True, slots=True)
class Link:
    """Whether a port can be used: `lost` and `busy` say why not, `pulled` how often it was gone.

    A busy port cannot be opened; one that is open stays so. A lost one must be opened again.
    """

    lost: str = ""
    busy: str = ""
    pulled: int = 0


@dataclass(frozen=True, slots=True)
class TwinSpec:
    """Everything a simulated world is built from; equal specs give equal worlds."""

    seed: int
    devices: tuple[TwinDevice, ...]
    vessel: TwinVessel
    reagents: tuple[TwinReagent, ...] = ()
    syringes: tuple[TwinSyringe, ...] = ()
    baud: Mapping[str, int] = field(default_factory=dict)
    ambient_mbar: float = 1005.0
    path_mm: float = 2.0
    faults: tuple[TwinFault, ...] = ()


@dataclass(frozen=True, slots=True)
class Exposure:
    """How a simulated spectrometer looks: its axis (shape (n,), nm, ascending) and its detector."""

    wavelengths_nm: tuple[float, ...]
    integration_s: float
    averages: int
    boxcar: int
    max_counts: int
    dark_counts: float
    read_noise: float


class Plant(Protocol):
    """The shared physical world as instruments touch it, by name (see `TwinDevice.touches`)."""

    def get(self, thing: str, t_ns: int) -> float:
        """Return what a sensor at `thing` sees at `t_ns`: °C, mbar, rpm, 0 or 1."""
        ...

    def put(self, thing: str, value: float, t_ns: int) -> None:
        """Act on `thing`: W for heaters, rpm, mbar for a pump's setpoint, mW, 0 or 1."""
        ...

    def move(self, syringe: str, volume_ml: float, t_ns: int) -> float:
        """Push (or with a negative volume pull) a plunger; return what it moved, in mL."""
        ...

    def counts(self, which: str, exposure: Exposure, t_ns: int) -> array[int]:
        """Expose the spectrometer `which` (`absorbance` or `pl`); return counts, shape (n,)."""
        ...

    def stream(self, name: str) -> random.Random:
        """Return the random stream of one component; the same name gives the same object."""
        ...


class SimDevice(Protocol):
    """A simulated instrument: bytes in, bytes out, sans-IO; built as `Kind(TwinDevice, Plant)`.

    The world brings itself to `t_ns`, calling `advance` of every instrument on its way each tick,
    before any `feed` at that time.
    """

    def feed(self, data: bytes, t_ns: int) -> list[tuple[int, bytes]]:
        """Take bytes that arrived at `t_ns`; return (delay in ns, reply) pairs, in order.

        Called with no bytes to collect what the instrument says by itself. Bytes for another
        address get no answer. Half frames wait; the inter-byte timeout is the protocol's.
        """
        ...

    def advance(self, t_ns: int) -> None:
        """Bring the instrument's own clockwork (control, watchdog, stroke) to `t_ns`.

        Called at least every 250 ms of the world's time, in order.
        """
        ...


class World(Protocol):
    """The simulated rig: instruments by port, a person, and the truth for tests and reports."""

    operator: Operator

    def follow(self, now_ns: Callable[[], int]) -> None:
        """Tell the world where the run's time comes from; the simulated person needs it."""
        ...

    def line(self, port: str) -> SimDevice:
        """Return what answers on a port: one instrument, or all that share the line."""
        ...

    def speaks(self, port: str) -> bool:
        """Say whether an instrument on a port has something to say that nobody asked for."""
        ...

    def link(self, port: str, t_ns: int) -> Link:
        """Say whether a port can be used at `t_ns`; it can but for a fault."""
        ...

    def contactor(self, t_ns: int, *, closed: bool) -> None:
        """Close or open the heater's contactor, as a guard does."""
        ...

    def began(self, anchor: str, t_ns: int) -> None:
        """Hear that a stage or a step of the recipe begins; faults may wait for it."""
        ...

    def faults(self) -> tuple[FaultSeen, ...]:
        """Return what became of the faults asked for, in their order."""
        ...

    def device(self, name: str) -> SimDevice:
        """Return one simulated instrument."""
        ...

    def truth(self, t_ns: int) -> Mapping[str, float]:
        """Return the plant's true state at `t_ns`, by name with unit."""
        ...

    def product(self, t_ns: int) -> Mapping[str, float]:
        """Return what is in the flask: layers, qy, peak_nm at 25 °C and the like."""
        ...
