"""What a rig file says of each instrument: one model per shape, chosen by the kind's first role."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from labctl.errors import UnitError, UsageError
from labctl.fields import (
    Absorbance,
    Date,
    Difference,
    Duration,
    FlowRange,
    Length,
    Name,
    Percent,
    PowerRange,
    PressureRange,
    Rate,
    RotationRange,
    Strict,
    Temperature,
    TemperatureRange,
    Volume,
    Wavelength,
)
from labctl.readings import Correction
from labctl.spectroscopy.linearity import Linearity
from labctl.units import parse


class Due(Strict):
    """A calibration's provenance: who, when, and when it is due again."""

    by: str = ""
    done: Date | None = None
    due: Date | None = None


OnLost = Literal["safe state", "freeze", "shut vacuum", "end dose", "tell"]


class Entry(Strict):
    """The common part of a device: its kind, its port unless it is a person, and its silence.

    It is asked at least once per `poll`; without an answer it is degraded and then lost, and
    `on_lost` is what is done then.
    """

    kind: str
    port: Name = ""
    poll: Duration | None = Field(None, gt=0)
    degraded_after: Duration | None = Field(None, gt=0)
    lost_after: Duration | None = Field(None, gt=0)
    on_lost: OnLost | None = None


class Probe(Strict):
    """A thermometer: type, where it sits (for people), highest temperature."""

    type: str
    in_: str = Field("", alias="in")
    max: Temperature | None = None


class HeaterProbe(Probe):
    """What a heater is controlled by: its last digit never stands still for as long as `frozen`."""

    frozen: Duration = Field(180.0, gt=0)


class HeaterLimits(Strict):
    """What may be asked of a temperature controller."""

    setpoint: TemperatureRange
    rate: Rate = 0.0
    power: Percent = 1.0


class HeaterVerify(Strict):
    """Settings of the controller that are read at connect and must hold."""

    sp_high: Temperature | None = None
    resolution: Literal["full"] = "full"
    units: Literal["C"] = "C"


class ProbeCalibration(Due):
    """Points of a thermometer: pairs of what it reads and what is true, both rising.

    Readings and setpoints are corrected by them, linearly between two points; below the first and
    above the last the correction stays what it is there. `limits` are of the true temperature.
    """

    reads_true: tuple[tuple[Temperature, Temperature], ...] = ()

    @model_validator(mode="after")
    def _rises(self) -> ProbeCalibration:
        for (reads, true), (more, truer) in pairwise(self.reads_true):
            if more <= reads or truer <= true:
                text = f"{more:g} °C ({truer:g} °C) does not rise above {reads:g} °C ({true:g} °C)"
                raise PydanticCustomError("schema.calibration", "{t}", {"t": text})
        return self

    def correction(self) -> Correction | None:
        """Return the correction; None without points."""
        reads, true = zip(*self.reads_true, strict=True) if self.reads_true else ((), ())
        return Correction(reads, true) if reads else None


class HeaterEntry(Entry):
    """A temperature controller."""

    unit: int = Field(1, ge=1, le=247)
    probe: HeaterProbe | None = None
    limits: HeaterLimits
    verify: HeaterVerify = HeaterVerify()
    calibration: ProbeCalibration | None = None
    heats: str = ""


class SecondProbe(Probe, Due):
    """The stirrer's own thermometer; `offset` is added to what it reads."""

    offset: Difference = 0.0

    def correction(self) -> Correction | None:
        """Return the correction; None without an offset."""
        return Correction((0.0,), (self.offset,)) if self.offset else None


class StirrerLimits(Strict):
    """What may be asked of a stirrer."""

    speed: RotationRange


class StirrerEntry(Entry):
    """A hotplate stirrer used for stirring, with an optional second flask probe."""

    limits: StirrerLimits
    heating: Literal["never"] = "never"
    watchdog: Duration = 0.0
    probe2: SecondProbe | None = None


class RelayEntry(Entry):
    """A relay board: named outputs and inputs."""

    unit: int = Field(1, ge=1, le=247)
    coils: dict[Name, int]
    inputs: dict[Name, int] = Field(default_factory=dict)
    without_power: dict[str, str] = Field(default_factory=dict)
    position_feedback: str = "none"


_VOLUME_IN_TEXT = re.compile(r"\d+\.?\d*\s*(?:mL|ml|uL|µL|μL)")


class Syringe(Strict):
    """A syringe: its inner diameter, and its volume (read from `is` unless given)."""

    is_: str = Field(alias="is")
    bore: Length
    volume: Volume = 0.0

    @property
    def volume_ml(self) -> float:
        """The full stroke, in mL."""
        match = _VOLUME_IN_TEXT.search(self.is_)
        return self.volume or (parse(match[0], "volume").value if match else 0.0)


class Line(Strict):
    """The line from a syringe to the flask; `dead` is its volume, `hold_up` the hanging drop."""

    bore: Length
    length: Length
    dead: Volume
    tip: str = ""
    hold_up: Volume = 0.0


class PumpCalibration(Due):
    """By weight: what share of the commanded volume is delivered, and its spread."""

    delivered: Percent
    sd: Percent = 0.0
    with_: str = Field("", alias="with")


HeadPort = Annotated[str, Field(pattern=r"^(input|output|[1-9]|1[0-2])$")]


class ValveHead(Strict):
    """The valve on a pump's head: what is at which port, a number, `input` or `output`.

    Preparing such a pump pushes what its syringe holds into `waste`; without it nothing prepares.
    """

    flask: HeadPort
    reservoir: HeadPort | None = None
    waste: HeadPort | None = None
    turns: Literal["cw", "ccw"] = "cw"

    @property
    def ports(self) -> dict[str, str]:
        """What is at which port, without what is not there."""
        named = {"flask": self.flask, "reservoir": self.reservoir, "waste": self.waste}
        return {place: port for place, port in named.items() if port is not None}


class PumpEntry(Entry):
    """A syringe pump with its syringe and line."""

    address: int = Field(0, ge=0, le=99)
    protocol: Literal["", "basic", "safe", "oem", "dt"] = ""
    head: ValveHead | None = None
    watchdog: Duration = 0.0
    valve: Name = ""
    warmed_by: Name = ""
    wetted: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    syringe: Syringe
    line: Line
    calibration: PumpCalibration | None = None


class Place(Strict):
    """One channel of a gauge: number, kind, where it sits, the range in which it is trusted."""

    ch: int = Field(ge=1, le=6)
    is_: str = Field("", alias="is")
    behind: str = ""
    trust: PressureRange


class GaugeEntry(Entry):
    """A pressure gauge; `address` is its number on a shared line, where its protocol has one."""

    address: int = Field(1, ge=1, le=255)
    channels: dict[Name, Place]


def _read_throttles(value: object) -> object:
    low, dots, high = str(value).partition("..")
    if not dots or high.strip() != "ambient":
        text = f"{value!r} is written like '5 mbar .. ambient'"
        raise PydanticCustomError("units.range", "{text}", {"text": text})
    try:
        return parse(low, "pressure").value
    except UnitError as error:
        raise PydanticCustomError(error.rule, "{text}", {"text": str(error)}) from None


class VacuumEntry(Entry):
    """A vacuum pump that throttles; `throttles` keeps the lower end, in mbar."""

    behind: Name = ""
    throttles: Annotated[
        float,
        BeforeValidator(_read_throttles),
        WithJsonSchema({"type": "string", "description": "a range, e.g. 5 mbar .. ambient"}),
    ] = 1.0
    takes: tuple[str, ...] = ()


class FlowLimits(Strict):
    """What may be asked of a mass flow controller."""

    flow: FlowRange


def _read_unit(value: object) -> object:
    """Turn a letter into its place in the alphabet; a number stays one."""
    text = str(value)
    return ord(text) - ord("A") + 1 if re.fullmatch("[A-Z]", text) else value


class FlowEntry(Entry):
    """A mass flow controller in the inert gas; `rests: closed` shuts it in the safe state."""

    unit: Annotated[
        int,
        Field(ge=0, le=128),
        BeforeValidator(_read_unit),
        WithJsonSchema({"type": ["string", "integer"], "description": "a letter or a number"}),
    ] = 0
    gas: Literal["N2", "Ar"] = "N2"
    limits: FlowLimits
    rests: Literal["open", "closed"] = "open"


class Lamp(Strict):
    """The lamp of an absorbance measurement."""

    is_: str = Field("", alias="is")
    warm_up: Duration = 0.0


class Fouling(Strict):
    """Where nothing absorbs, and how much change there means a dirty window."""

    at: Wavelength
    change_below: Absorbance


class OpticalProbe(Due):
    """What dips into the flask; `by`, `done` and `due` are of its path's measurement."""

    path: Length
    window: str = ""
    body: str = ""
    max_T: Temperature = 1000.0
    fouling: Fouling | None = None


class WavelengthCalibration(Due):
    """The wavelength axis: by what, and the worst residual."""

    worst: Wavelength = 0.0


class LinearityCalibration(Due):
    """Counts above dark divided by this polynomial in them are linear; holds up to a raw count."""

    coefficients: tuple[float, ...] = Field(min_length=1, max_length=8)
    up_to: int = Field(gt=0)

    @model_validator(mode="after")
    def _plausible(self) -> LinearityCalibration:
        try:
            self.curve()
        except UsageError as error:
            raise PydanticCustomError("schema.linearity", "{t}", {"t": str(error)}) from None
        return self

    def curve(self) -> Linearity:
        """Return the correction."""
        return Linearity(self.coefficients, self.up_to)


class Scan(Strict):
    """How a scanning detector makes a spectrum: range, step, and how long it stays on each point.

    `rate_high` is what its tube still counts linearly, per s (its data sheet says); `monochromator`
    is the index of the one that steps, where there are several.
    """

    from_: Wavelength = Field(alias="from")
    to: Wavelength
    step: Wavelength = Field(gt=0)
    dwell: Duration = Field(gt=0)
    rate_high: float = Field(4e6, gt=0)
    monochromator: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _has_points(self) -> Scan:
        if self.to < self.from_ + self.step:
            text = f"scans from {self.from_:g} nm to {self.to:g} nm in steps of {self.step:g} nm"
            raise PydanticCustomError("schema.scan", "{t}", {"t": f"{text}; two points are needed"})
        return self


class SpectrometerEntry(Entry):
    """A spectrometer for absorbance or photoluminescence.

    `stray` is the part of the mean light that lands on every pixel; `electrons_per_count` comes
    from the full well where it is not given; `read_noise` is in counts. `scan` is for a detector
    that steps through the wavelengths.
    """

    lamp: Lamp | None = None
    boxcar: int = Field(0, ge=0, le=15)
    stray: Percent = Field(0.0, ge=0.0, le=0.05)
    electrons_per_count: float | None = Field(None, gt=0.0)
    read_noise: float = Field(8.0, ge=0.0)
    linearity: LinearityCalibration | None = None
    wavelength: WavelengthCalibration | None = None
    response: Due | None = None
    probe: OpticalProbe | None = None
    detector: Temperature | None = None
    scan: Scan | None = None
    needs: str = ""


class LaserLimits(Strict):
    """What may be asked of a laser."""

    power: PowerRange


class LaserEntry(Entry):
    """An excitation laser."""

    wavelength: Wavelength
    limits: LaserLimits
    shield: str = ""


class Samples(Strict):
    """Aliquots instead of an optical probe: how often, how much, into what, measured at."""

    every: Duration
    volume: Volume
    into: str
    at: Temperature


class PersonEntry(Entry):
    """A person: can fill any role without a device."""

    samples: Samples | None = None


SHAPES: dict[str, type[Entry]] = {
    "heater": HeaterEntry,
    "stirrer": StirrerEntry,
    "manifold": RelayEntry,
    "pump": PumpEntry,
    "flask_gauge": GaugeEntry,
    "rough": VacuumEntry,
    "n2_flow": FlowEntry,
    "absorbance": SpectrometerEntry,
    "pl": SpectrometerEntry,
    "excitation": LaserEntry,
    "operator": PersonEntry,
}


def calibrations(entry: Strict) -> Iterator[tuple[tuple[str, ...], Due]]:
    """Yield what of a device or vessel is calibrated, and where it stands in its entry.

    >>> uvvis = SpectrometerEntry(kind="ocean_hdx", wavelength=WavelengthCalibration(by="Hg-Ar"))
    >>> [(part, due.by) for part, due in calibrations(uvvis)]
    [(('wavelength',), 'Hg-Ar')]
    """
    for name, field in type(entry).model_fields.items():
        part: object = getattr(entry, name)
        if isinstance(part, Due):
            yield (field.alias or name,), part
