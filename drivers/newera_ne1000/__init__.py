"""New Era NE-1000 and WPI Aladdin AL-1000 syringe pumps, one of several on a line.

With a watchdog the pump runs in safe mode: every packet carries a CRC, and the pump stops by itself
when it hears nothing for that long, so it must be polled within it. Without one it runs in basic
mode. Source: AL-1000 manual, "RS-232 Communications"; NE-1000 publication 1200-01, chapter 10.
"""

from __future__ import annotations

import contextlib
import math
import re
from typing import TYPE_CHECKING

from drivers.newera_ne1000.dialogue import ALARMS, NUMBER, PLAIN, Dialogue
from labctl.capabilities import Change, DeviceSettings, Gate, Identity, Look, PumpState
from labctl.errors import (
    DeviceError,
    GarbledError,
    NoReplyError,
    OutOfRangeError,
    RefusedByDeviceError,
)
from labctl.framing.newera import four_digits
from labctl.readings import Channel
from labctl.transport import Priority

if TYPE_CHECKING:
    from labctl.transport import Port

_DISPENSED = re.compile(rf"I{NUMBER}W{NUMBER}(ML|UL)", re.ASCII)
_RATE = re.compile(rf"{NUMBER}(MM|UM|MH|UH)", re.ASCII)
_VOLUME = re.compile(rf"{NUMBER}(ML|UL)", re.ASCII)
_WORD = re.compile(r"([A-Z]{3})", re.ASCII)
_VERSION = re.compile(r"([A-Z]{2}\d+(?:X\d*)?)V(\d+\.\d+)", re.ASCII)

_VOLUME_UNITS = {"ML": 1.0, "UL": 1e-3}
_RATE_UNITS = {"MM": 1.0, "UM": 1e-3, "UH": 1e-3 / 60}
_MOVING = frozenset("IWX")
_STATES = {
    "I": PumpState.INFUSING,
    "X": PumpState.INFUSING,
    "W": PumpState.WITHDRAWING,
    "S": PumpState.IDLE,
    "P": PumpState.PAUSED,
    "T": PumpState.PAUSED,
    "U": PumpState.PAUSED,
}

# Plunger speeds common to all rows of the manual's syringe table; the margins keep a rate that is
# rounded to four digits inside.
_FASTEST_CM_MIN = 3.773 * 0.999
_SLOWEST_CM_MIN = 0.00420 / 60 * 1.001
_ROUNDING = 1e-3


class NewEraNe1000:
    """A syringe pump (capability SyringePump); `dispensed` counts what was infused, in mL.

    `protocol` says `basic` or `safe`; without it a watchdog means safe.

    Raises:
        OutOfRangeError: the settings hold an address, bore, mode or watchdog that the pump cannot
            have.
    """

    maker = "New Era"
    prefix = "NE"

    def __init__(self, port: Port, settings: DeviceSettings) -> None:
        self.name = settings.name
        self.channels = (Channel("dispensed", "volume"), Channel("infusing", "truth"))
        _check(settings)
        self._bore = four_digits(settings.bore_mm)
        self._bore_mm = settings.bore_mm
        self._syringe_ml = settings.syringe_ml
        self._watchdog_s = round(settings.watchdog_s)
        self._pump = Dialogue(port, settings.name, settings.address, safe=self._watchdog_s > 0)

    async def connect(self) -> Identity:
        """Agree on the mode, read the version, and at rest set bore, unit and program.

        A pump found moving keeps its settings; they are checked before the next dose. The bore is
        written only where it differs, for writing it clears the pump's counter.

        Raises:
            NoReplyError: nothing answers at this address.
            GarbledError: something else answers.
            RefusedByDeviceError: it is another model, or a setting was refused or reads back
                differently.
        """
        await self._pump.agree_on_mode(self._watchdog_s)
        look = await self.look()
        if (await self._pump.read(""))[0] not in _MOVING:
            await self._prepare()
        self._pump.restarted = False
        return look.identity

    async def look(self) -> Look:
        """Read version and bore, and set nothing; an alarm that waits is told, and so forgotten.

        Raises:
            RefusedByDeviceError: it is another model.
        """
        with contextlib.suppress(RefusedByDeviceError, NoReplyError):
            await self._pump.read("")
        model, firmware = await self._pump.query("VER", _VERSION)
        if not model.startswith(self.prefix):
            expected = f"a pump of {self.maker}, {self.prefix}…"
            raise RefusedByDeviceError(self.name, "VER", expected, f"{model}; correct the kind")
        (bore,) = await self._pump.query("DIA", PLAIN)
        bores = {"bore": f"{bore} mm, the rig's is {self._bore} mm"}
        return Look(Identity(self.maker, model, firmware=firmware), bores)

    async def poll(self) -> tuple[float | None, ...]:
        """Read the counter; the status that comes with it says whether the plunger moves.

        Raises:
            NoReplyError: no reply.
            GarbledError: a reply that is not in the grammar, twice.
            RefusedByDeviceError: the pump reported an alarm; `state` keeps it.
        """
        status, data = await self._pump.read("DIS", Priority.POLL)
        return self._infused_ml(data), 1.0 if status in {"I", "X"} else 0.0

    def changed(self) -> Change | None:
        """Return that it was switched off or reset, until it is connected anew."""
        return Change(ALARMS["R"]) if self._pump.restarted else None

    @staticmethod
    def rates_ml_min(bore_mm: float) -> tuple[float, float]:
        """Return the least and greatest rate in mL/min, from a bore and the plunger's speeds."""
        area_cm2 = math.pi / 4 * (bore_mm / 10) ** 2
        return area_cm2 * _SLOWEST_CM_MIN, area_cm2 * _FASTEST_CM_MIN

    def rate_limits_ml_min(self) -> tuple[float, float]:
        """Return the least and greatest rate in mL/min with the fitted syringe."""
        return self.rates_ml_min(self._bore_mm)

    def rounded_volume_ml(self, volume_ml: float) -> float:
        """Return what is dispensed when `volume_ml` is asked: the same to four digits, in mL.

        Raises:
            OutOfRangeError: the pump cannot express the volume, or the syringe does not hold it.
        """
        number, unit = self._volume_as_sent(volume_ml)
        return float(number) * _VOLUME_UNITS[unit]

    async def infuse(self, volume_ml: float, rate_ml_min: float, gate: Gate | None = None) -> None:
        """Start to dispense a volume in mL at a rate in mL/min; both are sent with four digits.

        All settings are written and read back first; RUN goes out last and alone asks `gate`. What
        was left of a stopped dose is forgotten.

        Raises:
            OutOfRangeError: volume or rate is beyond the number format, the syringe or the speed.
            NoReplyError: no reply; after RUN it is not known whether the plunger moves.
            GarbledError: a reply that is not in the grammar, or the pump got a damaged packet.
            RefusedByDeviceError: the pump moves already, refused, alarmed, or reads back otherwise.
        """
        number, unit = self._volume_as_sent(volume_ml)
        rate, rate_unit = self._rate_as_sent(rate_ml_min)
        await self._come_to_rest()
        self._pump.alarm = ""
        await self._pump.verify("DIA", PLAIN, self._bore)
        await self._pump.set("PHN", "1", PLAIN, "1")
        await self._pump.set("DIR", "INF", _WORD, "INF")
        await self._pump.set("RAT", rate + rate_unit, _RATE, rate, rate_unit)
        await self._pump.ask(f"VOL{unit}")
        await self._pump.set("VOL", number, _VOLUME, number, unit)
        status, data = await self._pump.ask("RUN", gate=gate)
        if status != "I":
            raise RefusedByDeviceError(self.name, "RUN", "status I", repr(status + data))

    async def stop(self) -> None:
        """Stop the plunger; the counter keeps its value and the next `infuse` starts afresh.

        Raises:
            NoReplyError: no reply, three times.
            GarbledError: a reply that is not in the grammar, three times.
            RefusedByDeviceError: it still moves.
        """
        await self._halt(Priority.COMMAND)

    async def make_safe(self) -> None:
        """Stop the plunger ahead of all other questions; raises what `stop` raises."""
        await self._halt(Priority.TRIP)

    def last_will(self) -> tuple[bytes, ...]:
        """Stop the plunger, three times: an alarm that waits is told in place of obeying one.

        Stopping once pauses the dose, twice forgets it. In the framing of the mode agreed on;
        a pump back from a power cut understands either.
        """
        return (self._pump.written("STP"),) * 3

    async def dispensed_ml(self) -> float:
        """Read the counter of what was infused since the last reset, in mL.

        Its four digits are worth 0.001 mL after a dose of 1 mL or more, else 0.1 µL or better.

        Raises:
            NoReplyError: no reply.
            GarbledError: a reply that is not in the grammar, twice, or two that differ at rest.
            RefusedByDeviceError: the pump reported an alarm.
        """
        status, data = await self._pump.read("DIS")
        if status not in _MOVING and not self._watchdog_s:
            # Basic mode has no CRC: what is booked is read twice.
            _, again = await self._pump.read("DIS")
            if again != data:
                raise GarbledError(self.name, "DIS", f"{data} again", repr(again))
        return self._infused_ml(data)

    async def reset_counter(self) -> None:
        """Set the counter to zero, at rest.

        Raises:
            NoReplyError: no reply.
            GarbledError: a reply that is not in the grammar.
            RefusedByDeviceError: it moves, or the counter is not zero afterwards.
        """
        await self._pump.ask("CLDINF")
        left_ml = await self.dispensed_ml()
        if left_ml:
            raise RefusedByDeviceError(self.name, "CLDINF", "0 mL", f"{left_ml:g} mL")

    async def state(self) -> PumpState:
        """Read what the pump does now; an alarm is told until the next `infuse` or `connect`.

        Raises:
            NoReplyError: no reply.
            GarbledError: a reply that is not in the grammar, twice.
        """
        try:
            status, _ = await self._pump.read("")
        except RefusedByDeviceError:
            status = "S"  # an alarm, which stopped it: nothing else refuses this question
        if self._pump.alarm and status not in _MOVING:
            return PumpState.STALLED if self._pump.alarm == "S" else PumpState.ALARM
        return _STATES[status]

    async def _prepare(self) -> None:
        await self._come_to_rest()
        if float((await self._pump.query("DIA", PLAIN))[0]) != float(self._bore):
            await self._pump.set("DIA", self._bore, PLAIN, self._bore)
        await self._pump.ask("VOLML")
        # An older program must not go on where a dose ends: phase 2 stops.
        for phase, function in (("2", "STP"), ("1", "RAT")):
            await self._pump.set("PHN", phase, PLAIN, phase)
            await self._pump.set("FUN", function, _WORD, function)

    async def _come_to_rest(self) -> None:
        status, data = await self._pump.read("")
        if status in {"P", "T", "U"}:
            status, data = await self._pump.ask("STP")
        if status != "S":
            raise RefusedByDeviceError(
                self.name, "to be set up", "a pump at rest; stop it first", repr(status + data)
            )

    async def _halt(self, priority: Priority) -> None:
        status, data = await self._stop_it(priority)
        if status in _MOVING or data not in {"", "?NA"}:
            raise RefusedByDeviceError(self.name, "STP", "a pump at rest", repr(status + data))

    async def _stop_it(self, priority: Priority) -> tuple[str, str]:
        # Stopping twice does no harm, and an alarm that waits is told instead of obeying.
        for _ in range(2):
            try:
                return await self._pump.exchange("STP", priority)
            except DeviceError:
                continue
        return await self._pump.exchange("STP", priority)

    def _volume_as_sent(self, volume_ml: float) -> tuple[str, str]:
        asked = f"{volume_ml:g} mL"
        if not 0 < volume_ml < 1e4:
            raise OutOfRangeError(self.name, asked, "a volume of up to 9999 mL", asked)
        if 0 < self._syringe_ml < volume_ml:
            raise OutOfRangeError(self.name, asked, f"up to {self._syringe_ml:g} mL", asked)
        unit = "ML" if volume_ml >= 1 else "UL"
        return self._as_sent(volume_ml, unit, _VOLUME_UNITS[unit], asked), unit

    def _rate_as_sent(self, rate_ml_min: float) -> tuple[str, str]:
        asked = f"{rate_ml_min:g} mL/min"
        low, high = self.rate_limits_ml_min()
        if not low <= rate_ml_min <= high:
            expected = f"{low:.3g} .. {high:.4g} mL/min with a bore of {self._bore} mm"
            raise OutOfRangeError(self.name, asked, expected, asked)
        unit = next((u for u, size in _RATE_UNITS.items() if rate_ml_min >= size), "UH")
        return self._as_sent(rate_ml_min, unit, _RATE_UNITS[unit], asked), unit

    def _as_sent(self, value: float, unit: str, size: float, asked: str) -> str:
        number = four_digits(value / size)
        if abs(float(number) * size - value) > _ROUNDING * value:
            raise OutOfRangeError(
                self.name, asked, "a number of four digits and three decimals", f"{number} {unit}"
            )
        return number

    def _infused_ml(self, data: str) -> float:
        match = _DISPENSED.fullmatch(data)
        if match is None:
            raise GarbledError(self.name, "DIS", _DISPENSED.pattern, repr(data))
        return float(match[1]) * _VOLUME_UNITS[match[3]]


class WpiAl1000(NewEraNe1000):
    """A WPI Aladdin AL-1000: the same pump under another name."""

    maker = "WPI"
    prefix = "AL"


def _check(settings: DeviceSettings) -> None:
    for asked, low, high, value, unit in (
        ("address", 0, 99, settings.address, ""),
        ("bore", 0.1, 50, settings.bore_mm, " mm"),
        ("watchdog", 0, 255, settings.watchdog_s, " s"),
    ):
        if not low <= value <= high or (asked == "watchdog" and value % 1):
            raise OutOfRangeError(
                settings.name,
                f"a {asked} of {value:g}{unit}",
                f"{low:g} .. {high:g}{unit}",
                f"{value:g}{unit}; correct the rig file",
            )
    safe = settings.watchdog_s > 0
    if settings.protocol not in {"", "safe" if safe else "basic"}:
        expected = "safe with a watchdog of 1 .. 255 s, or basic without one"
        got = f"{settings.protocol} with a watchdog of {settings.watchdog_s:g} s"
        asked = f"the protocol {settings.protocol}"
        raise OutOfRangeError(settings.name, asked, expected, f"{got}; correct the rig file")
