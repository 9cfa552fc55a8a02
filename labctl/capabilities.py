"""What the engine may ask of an instrument: thin Protocols, in canonical units.

Every method is idempotent; every `set_*` and verb returns when the instrument has acknowledged and,
where it can be read back, was seen to obey. A reading that is not good is None, never a number.

All raise `DeviceError` of one kind or another: NoReplyError, GarbledError, PortLostError,
RefusedByDeviceError, and OutOfRangeError before anything is sent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol, runtime_checkable

from labctl.readings import Channel, Quality, Spectrum

Gate = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Listing:
    """One row of a CATALOG: where the class is, and what it is to a person and to the rig file.

    `line` is how its port is set as it leaves the factory, `gap_ms` the least time between two
    commands; `bus` names the protocol in which several with addresses share a line, empty where
    the instrument needs one for itself. `checksum` says that its replies carry one; without, a
    flipped bit can be a value.
    """

    target: str
    maker: str = ""
    model: str = ""
    roles: tuple[str, ...] = ()
    line: str = "9600 8N1"
    gap_ms: int = 0
    bus: str = ""
    checksum: bool = False


@dataclass(frozen=True, slots=True)
class Proof:
    """Whether a rule of quality holds for an instrument, `done`, `todo` or `exempt`, and why."""

    state: Literal["done", "todo", "exempt"]
    why: str = ""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who answered: maker, model, serial number, firmware; empty where the protocol has none."""

    maker: str
    model: str
    serial: str = ""
    firmware: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """What an instrument said of itself: who it is, and units, limits and state in words."""

    identity: Identity
    facts: Mapping[str, str] = field(default_factory=dict)


class Outcome(StrEnum):
    """How an actuation ended; unknown is resolved by read-back before anything else is sent."""

    DONE = "done"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@runtime_checkable
class Device(Protocol):
    """The common part of every instrument."""

    name: str
    channels: tuple[Channel, ...]

    async def connect(self) -> Identity:
        """Read identity and units, check settings, arm the watchdog; actuate nothing."""
        ...

    async def look(self) -> Look:
        """Read identity, units, limits and state against the settings; set nothing at all."""
        ...

    async def poll(self) -> Sequence[float | None]:
        """Read all channels: one value per entry of `channels`, None where there is no reading."""
        ...

    async def make_safe(self) -> None:
        """Bring the instrument to its safe state, from any state, as often as asked."""
        ...

    def last_will(self) -> tuple[bytes, ...]:
        """Return what a guard may send blind, in order, replies unread, to make it safe.

        Valid from any state reached after `connect`, also after a power cut or with half a
        question of ours on the line; each frame is one write, and the next follows when the line
        has had time for a reply. Empty where nothing can be unsafe.
        """
        ...


@dataclass(frozen=True, slots=True)
class Change:
    """What an instrument does otherwise than it was told: turned at its panel, or it restarted.

    `found` and `meant` are the value that it has and the one that it was given, in the canonical
    unit of its first channel, where there is one that could be adopted.
    """

    text: str
    found: float | None = None
    meant: float | None = None


@runtime_checkable
class NoticesChanges(Protocol):
    """An instrument whose driver sees that it was changed behind labctl's back."""

    def changed(self) -> Change | None:
        """Return what the polls so far show to be changed, until it is put right; else None."""
        ...


class TemperatureController(Device, Protocol):
    """Heats one place to a setpoint; ramps inside the instrument."""

    async def ramp(self, setpoint_c: float, rate_k_min: float) -> None:
        """Go to a setpoint in °C at a rate in K/min; 0 K/min means as fast as it can."""
        ...

    async def freeze(self) -> None:
        """Stop a ramp where it is: the setpoint becomes the present working setpoint."""
        ...

    async def off(self) -> None:
        """Switch the output off (0 %), keeping the reading alive."""
        ...


class Stirrer(Device, Protocol):
    """Turns the bar."""

    async def stir(self, speed_rpm: float) -> None:
        """Turn at a speed in rpm; 0 stops."""
        ...


class PumpState(StrEnum):
    """What a syringe pump does now."""

    IDLE = "idle"
    INFUSING = "infusing"
    WITHDRAWING = "withdrawing"
    PAUSED = "paused"
    STALLED = "stalled"
    ALARM = "alarm"


class SyringePump(Device, Protocol):
    """Moves a plunger and counts it; `channels` are dispensed (mL) and infusing (0 or 1)."""

    @staticmethod
    def rates_ml_min(bore_mm: float) -> tuple[float, float]:
        """Return the least and the greatest rate with a syringe of that bore, in mL/min."""
        ...

    def rate_limits_ml_min(self) -> tuple[float, float]:
        """Return the least and the greatest rate with the fitted syringe, in mL/min."""
        ...

    async def infuse(self, volume_ml: float, rate_ml_min: float, gate: Gate | None = None) -> None:
        """Start to dispense a volume in mL at a rate in mL/min; `gate` is asked at the wire."""
        ...

    async def stop(self) -> None:
        """Stop the plunger; the counter keeps its value."""
        ...

    async def dispensed_ml(self) -> float:
        """Read the pump's own counter of what it infused since the last reset, in mL."""
        ...

    async def reset_counter(self) -> None:
        """Set the counter to zero."""
        ...

    async def state(self) -> PumpState:
        """Read what the pump does now."""
        ...


class PressureGauge(Device, Protocol):
    """Reads pressures; `channels` are the places it measures, in mbar."""


class VacuumPump(Device, Protocol):
    """Pumps down to a setpoint and keeps it."""

    async def pump_to(self, pressure_mbar: float) -> None:
        """Start pumping and control at a pressure in mbar; 0 means as low as it goes."""
        ...

    async def stop(self) -> None:
        """Stop pumping; the inlet is closed, nothing is vented."""
        ...


@dataclass(frozen=True, slots=True)
class Switching:
    """The frames that switch one output off and on, and the replies that confirm them."""

    off: bytes
    is_off: bytes
    on: bytes
    is_on: bytes


class MassFlowController(Device, Protocol):
    """Lets inert gas in; `channels` are flow and setpoint (sccm) and what else it measures.

    One sccm is 1 mL/min of gas as it is at 25 °C and 1013.25 mbar. `full_scale_sccm` and `gas` are
    read at connect.
    """

    full_scale_sccm: float
    gas: str

    async def set_flow(self, flow_sccm: float, gate: Gate | None = None) -> None:
        """Let in a flow in sccm, confirmed by read-back; `gate` is asked at the wire."""
        ...

    async def close(self) -> None:
        """Shut the valve: a flow of 0."""
        ...


class RelayBoard(Device, Protocol):
    """Switches outputs and reads inputs by name; `channels` are all of them, 0 or 1."""

    async def switch(self, output: str, on: bool, gate: Gate | None = None) -> None:
        """Switch one output and confirm by read-back of the coil; `gate` is asked at the wire."""
        ...


@runtime_checkable
class HoldsContactor(Protocol):
    """A kind of board whose outputs the guard can switch by frames alone."""

    def switching(self, address: int, number: int) -> Switching:
        """Return the frames that switch output `number` of the board at `address`."""
        ...


class Spectrometer(Device, Protocol):
    """Takes spectra of raw counts."""

    max_counts: int

    async def set_exposure(self, integration_s: float, averages: int) -> None:
        """Set the integration time in s and how many exposures are averaged."""
        ...

    async def acquire(self, t_ns: int) -> Spectrum:
        """Take one spectrum, stamped `t_ns`; counts as the instrument gave them."""
        ...


class LightSource(Device, Protocol):
    """A laser or lamp with a set power."""

    wavelength_nm: float

    async def shine(self, power_mw: float) -> None:
        """Switch on at a power in mW; 0 switches off."""
        ...


class TaskKind(StrEnum):
    """What a person may be asked to do."""

    CONFIRM = "confirm"
    ANSWER = "answer"
    CHARGE = "charge"
    INJECT = "inject"
    SWITCH = "switch"
    SET = "set"
    READ = "read"
    SAMPLE = "sample"


@dataclass(frozen=True, slots=True)
class Task:
    """Something asked of a person, in words for them and in numbers for a simulated one.

    `subject` names the reagent, valve, setting or reading; `amount` is in the canonical unit of
    `unit` (a dimension); `choices` and `default` belong to a question; `signatures` counts people.
    """

    kind: TaskKind
    text: str
    subject: str = ""
    amount: float | None = None
    dimension: str = ""
    over_s: float = 0.0
    choices: tuple[str, ...] = ()
    default: str = ""
    simulated: str = ""
    after_s: float | None = None
    signatures: int = 1
    items: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """What a person answered: a choice or a value, who signed, whether it was the default."""

    text: str = ""
    value: float | None = None
    signed: tuple[str, ...] = ()
    by_default: bool = False
    spectra: Mapping[str, Spectrum] = field(default_factory=dict)


class Operator(Protocol):
    """A person at the rig, real or simulated."""

    async def do(self, task: Task) -> Reply:
        """Ask for one task and return when it is done or answered."""
        ...


@dataclass(frozen=True, slots=True)
class ScanSettings:
    """How a scanning detector makes a spectrum: nm from, to and between points, s on each.

    `rate_high` is what its tube still counts linearly, in counts per s; `monochromator` is the
    index of the one that steps, where there are several.
    """

    start_nm: float
    stop_nm: float
    step_nm: float
    dwell_s: float
    rate_high: float
    monochromator: int = 0

    def wavelengths_nm(self) -> tuple[float, ...]:
        """Return the wavelengths of the points, ascending.

        >>> ScanSettings(500.0, 506.0, 2.5, 0.1, 4e6).wavelengths_nm()
        (500.0, 502.5, 505.0)
        """
        steps = math.floor((self.stop_nm - self.start_nm) / self.step_nm + 1e-6)
        return tuple(round(self.start_nm + n * self.step_nm, 6) for n in range(steps + 1))


@dataclass(frozen=True, slots=True)
class DeviceSettings:
    """What the rig file says of one instrument, for its driver; fields that do not apply are empty.

    `address` is the unit on a shared line; lengths in mm, volumes in mL, speeds in rpm, powers in
    mW, temperatures in °C; `outputs` and `inputs` map names to numbers on a relay board, and
    `rests_on` names the outputs that are on (a valve: open) while their relay is without power;
    `places` maps a gauge's channel number to its name and trusted range in mbar; `scan` is how a
    scanning detector steps; `rests_closed` says that a gas flow is shut in the safe state (else it
    is left as it is); `protocol` is the dialect of an instrument that has several; `ports` maps
    what is at the valve head of a pump (`flask`, `reservoir`, `waste`) to its port: a number,
    `input` or `output`; `turns` is the way that valve turns to initialise, `cw` or `ccw`;
    `boxcar` is how many pixels to each side a spectrometer smooths over.
    """

    name: str
    address: int = 1
    setpoint_low: float = 0.0
    setpoint_high: float = 0.0
    rate_high_k_min: float = 0.0
    power_high_fraction: float = 1.0
    speed_high_rpm: float = 0.0
    watchdog_s: float = 0.0
    bore_mm: float = 0.0
    syringe_ml: float = 0.0
    outputs: Mapping[str, int] = field(default_factory=dict)
    inputs: Mapping[str, int] = field(default_factory=dict)
    rests_on: tuple[str, ...] = ()
    places: Mapping[int, Channel] = field(default_factory=dict)
    has_probe2: bool = False
    power_high_mw: float = 0.0
    wavelength_nm: float = 0.0
    detector_c: float | None = None
    scan: ScanSettings | None = None
    flow_high_sccm: float = 0.0
    gas: str = "N2"
    rests_closed: bool = False
    protocol: str = ""
    ports: Mapping[str, str] = field(default_factory=dict)
    turns: str = "cw"
    boxcar: int = 0


def quality_of(value: float | None, channel: Channel) -> Quality:
    """Judge a value by its channel's trusted range.

    >>> quality_of(0.05, Channel("flask", "pressure", low=0.1)).name
    'UNCERTAIN'
    """
    if value is None:
        return Quality.BAD
    if channel.low is not None and value < channel.low:
        return Quality.UNCERTAIN
    if channel.high is not None and value > channel.high:
        return Quality.UNCERTAIN
    return Quality.GOOD
