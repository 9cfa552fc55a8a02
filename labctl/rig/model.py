"""The rig: what is in the hood, how it is connected, what it may do, what must never happen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from labctl.attended import Attendance, read_attendance
from labctl.chemistry.thermal import glass_j_k
from labctl.fields import (
    Amount,
    Concentration,
    Conductance,
    Date,
    Difference,
    Duration,
    HeatCapacity,
    Interval,
    Name,
    Percent,
    Pressure,
    PressureRate,
    Strict,
    Temperature,
    TemperatureRange,
    Volume,
    VolumeRange,
    Watts,
)
from labctl.rig.devices import Due, Entry
from labctl.rules import Interlock
from labctl.source import Document


class Site(Strict):
    """Where the rig stands; `ambient` is read at start, `attended` says when people are there."""

    ambient: Literal["read at start"] = "read at start"
    inert: Literal["N2", "Ar"] = "N2"
    attended: Annotated[
        Attendance,
        BeforeValidator(read_attendance),
        WithJsonSchema({"type": "string", "description": "hours, e.g. Mon-Fri 08:00-19:00"}),
    ] = Attendance()
    call: tuple[str, ...] = ()


class Cutout(Strict):
    """A hardware protection; labctl neither drives nor replaces it, only minds its test date."""

    is_: str = Field(alias="is")
    at: str = ""
    opens: str = ""
    tested: Date
    every: Interval


class PortEntry(Strict):
    """One line: by USB serial number, path, TCP address or VISA resource."""

    usb: str = ""
    path: str = ""
    tcp: str = ""
    visa: str = ""
    baud: int = Field(0, ge=0)
    format: Literal["8N1", "7E1", "7O1", "8E1", "8O1", "8N2"] = "8N1"
    mode: Literal["RS-232", "RS-485"] = "RS-232"


class MantleConstants(Due):
    """How the mantle of a vessel heats it: `recipes/commissioning/mantle.yaml` measures it."""

    capacity: HeatCapacity
    to_flask: Conductance
    mantle_to_air: Conductance
    flask_to_air: Conductance


class Leak(Due):
    """How fast the pressure rises in the cold, empty vessel, shut off under vacuum, at most."""

    rise: PressureRate


class Vessel(Strict):
    """A vessel: flask or waste; a flask has a mantle, a fill range and a highest temperature.

    `thermal` and `leak` are what commissioning measured; without `thermal` its mantle is taken to
    be a typical one, good to 20 %.
    """

    is_: str = Field(alias="is")
    volume: Volume
    fill: VolumeRange | None = None
    mantle: Watts = 0.0
    empty_heat_capacity: HeatCapacity | None = Field(None, gt=0)
    max_T: Temperature = 100.0
    stir_bar: str = ""
    thermal: MantleConstants | None = None
    leak: Leak | None = None
    never: tuple[str, ...] = ()
    only: tuple[str, ...] = ()

    @property
    def glass_j_k(self) -> float:
        """The heat capacity of the glass in J/K; by its size where nobody said (`vessel.glass`)."""
        said = self.empty_heat_capacity
        return glass_j_k(self.volume) if said is None else said


class Scrubber(Strict):
    """What may be in the scrubber, and what must never meet bleach."""

    asked_at_start: tuple[str, ...]
    bleach_never_with: tuple[str, ...] = ()


class Exhaust(Strict):
    """The way of what leaves the flask."""

    from_: str = Field(alias="from")
    through: tuple[str, ...] = ()
    scrubber: Scrubber | None = None


class Trap(Strict):
    """The cold trap before the fine pump; `ask_level` is how long an answer on its level holds."""

    cools: str
    after: str = ""
    before: str = ""
    ask_level: Duration
    never: tuple[str, ...] = ()


class HfLimits(Strict):
    """How much HF the rig's owner allows: in one batch, and per volume in the flask."""

    per_batch: Amount = 0.5
    in_flask: Concentration = 0.05


class GuardEntry(Strict):
    """The guard's own port, and the output on it that holds the heater's contactor."""

    port: Name
    cuts: str
    heartbeat: Duration
    flask_T_age: Duration
    kind: str = "modbus_relay_8ch"
    unit: int = Field(1, ge=0, le=247)
    coil: int = Field(1, ge=1)


class LeakLimits(Strict):
    """The leak test of a preflight: pumped down to, isolated for, and how far it may rise."""

    T_below: Temperature = 40.0
    pump_to: Pressure = 0.133
    isolate: Duration = Field(default=300.0, gt=0)
    rise_below: PressureRate = Field(default=0.0267, gt=0)


class Preflight(Strict):
    """What must hold before anything heats, and for how long it stands once it was found.

    `thermometers` may differ by so much, all within `room`; `lamp` may drift by so much per minute.
    """

    valid: Duration = Field(4 * 3600.0, gt=0)
    leak: LeakLimits = LeakLimits()
    room: TemperatureRange = (10.0, 35.0)
    thermometers: Difference = Field(3.0, gt=0)
    lamp: Percent = Field(0.002, gt=0)


class Rig(Strict):
    """A rig file, `labctl: rig/1`; without `preflight` a run begins without one."""

    labctl: Literal["rig/1"]
    name: Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,32}$")]
    site: Site = Site()
    cutouts: dict[Name, Cutout] = Field(default_factory=dict)
    ports: dict[Name, PortEntry] = Field(default_factory=dict)
    vessels: dict[Name, Vessel]
    exhaust: Exhaust | None = None
    trap: Trap | None = None
    hf: HfLimits = HfLimits()
    preflight: Preflight | None = None
    signals: dict[str, str] = Field(default_factory=dict)
    roles: dict[Name, str]
    devices: dict[Name, Entry]
    guard: GuardEntry | None = None
    interlocks: tuple[Interlock, ...] = ()


@dataclass(frozen=True, slots=True)
class LoadedRig:
    """A rig with the file it came from, for messages."""

    model: Rig
    document: Document

    def entry(self, role: str) -> tuple[str, str]:
        """Return (device, part) bound to a role; ("", "") where the role is not bound.

        >>> # roles: {jack: aux.jack_up, heater: heater}
        """
        device, _, part = self.model.roles.get(role, "").partition(".")
        return device, part

    @property
    def person(self) -> str:
        """The name of the person among the devices."""
        return next((n for n, e in self.model.devices.items() if e.kind == "operator"), "person")
