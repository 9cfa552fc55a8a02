"""Tecan Cavro XCalibur syringe pump with a valve on its head, in OEM or DT protocol.

What the syringe holds is a reagent, and initialising pushes it out. So `connect` never initialises;
`prepare` does, into the port that the rig file names for waste. Every dose is a move to an absolute
place, and the counter is the plunger's own place read back: neither counts nor doses twice. Source:
Cavro XCalibur Operating Manual 733085-B, chapter 3.
"""

from __future__ import annotations

import contextlib
import math
import re

from labctl.capabilities import DeviceSettings, Gate, Identity, Look, PumpState
from labctl.errors import (
    AbandonedError,
    DeviceError,
    GarbledError,
    NoReplyError,
    OutOfRangeError,
    RefusedByDeviceError,
)
from labctl.framing.cavro import (
    FIRST_ADDRESS,
    Answer,
    dt_command,
    dt_frame,
    oem_command,
    oem_frame,
    read_dt,
    read_oem,
)
from labctl.readings import Channel
from labctl.transport import Port, Priority

_PLACES = 24_000
_STROKE_CM = 3.0
_HALF_STEPS = 6000
_SLOWEST, _FASTEST = 5, 6000
_ALIKE = 0.03
_REPEAT_AFTER_S = 0.1
_TERMINAL_S = 0.5
_TRIES = 4
_PAUSE_S = 0.1
_SETTLED_POLLS = 200
_FORCES = ((0.9, 0), (0.2, 1), (0.0, 2))

_PLACE = re.compile(r"\d{1,5}", re.ASCII)
_NUMBER = re.compile(r"\d{1,4}", re.ASCII)
_PORT = re.compile(r"[1-9]|1[0-2]|[iobe]", re.ASCII)
_TEXT = re.compile(r"[ -~]+", re.ASCII)
_LETTERS = {"input": "i", "output": "o"}

_NOT_INITIALISED, _PLUNGER, _VALVE = 7, 9, 10
_PREPARE = "empty its syringe or fit an empty one, then `prepare` it"
_ERRORS = {
    1: f"it failed to initialise; look for a blocked line, then {_PREPARE}",
    2: "it does not know the command",
    3: "a number is out of its range",
    4: "the command string is no sequence it can run",
    6: "its memory is faulty; it needs service",
    _NOT_INITIALISED: f"it is not initialised, its plunger's place is unknown; {_PREPARE}",
    _PLUNGER: f"its plunger was blocked; free the line, then {_PREPARE}",
    _VALVE: f"its valve is blocked; free it, then {_PREPARE}",
    11: "its valve stands in bypass, where the plunger may not move",
    15: "it still moves; wait, or stop it",
}


class CavroXCalibur:
    """A syringe pump with a valve head (capability SyringePump); places are 1/24000 of the stroke.

    Raises:
        OutOfRangeError: address, protocol, ports, watchdog or syringe that the pump cannot have.
    """

    def __init__(self, port: Port, settings: DeviceSettings) -> None:
        self.name = settings.name
        self.channels = (Channel("dispensed", "volume"), Channel("infusing", "truth"))
        _check(settings)
        self._settings = settings
        self._ml_per_place = settings.syringe_ml / _PLACES
        self._line = _Line(port, settings)
        self._zero = 0
        self._draws = False

    async def connect(self) -> Identity:
        """Read firmware, state, port and place, and choose fine places; nothing moves.

        Raises:
            NoReplyError: nothing answers at this address, or not in this protocol.
            GarbledError: something else answers.
            RefusedByDeviceError: it moves, is not initialised, or was blocked; says what to do.
        """
        firmware = await self._line.report("&", _TEXT)
        await self._at_rest("to be set up")
        await self._line.act("N1R")
        self._zero = await self._resting_place()
        return Identity("Tecan", "Cavro XCalibur", firmware=firmware)

    async def prepare(self) -> None:
        """Initialise: push all that the syringe holds into the waste port, and find the end.

        Raises:
            OutOfRangeError: the rig file names no port for waste; nothing was sent.
            NoReplyError: no reply.
            GarbledError: a reply that is not in the grammar.
            RefusedByDeviceError: it moves, or it failed to initialise.
        """
        waste = self._settings.ports.get("waste")
        if waste is None:
            expected = "a port under `head: {waste: …}` into which it may push what it holds"
            raise OutOfRangeError(self.name, "to initialise", expected, "none in the rig file")
        if (await self._line.status()).busy:
            raise self._refused("to initialise", _ERRORS[15])
        force = next(force for at_least, force in _FORCES if self._settings.syringe_ml >= at_least)
        way = "Z" if self._settings.turns == "cw" else "Y"
        where = f",{self._settings.ports.get('reservoir', 0)},{waste}" if waste.isdigit() else ""
        await self._line.act(f"{way}{force}{where}R", forgives=True)
        await self._settle("to initialise")
        await self._line.act("N1R")
        self._zero = await self._resting_place()

    async def aspirate(self, volume_ml: float, rate_ml_min: float) -> None:
        """Start to draw a volume in mL from the reservoir at a rate in mL/min; counts backwards.

        Raises:
            OutOfRangeError: no reservoir in the rig file, or beyond the syringe or the speeds.
            NoReplyError: no reply.
            GarbledError: a reply that is not in the grammar.
            RefusedByDeviceError: it moves, is not prepared, or says no.
        """
        if "reservoir" not in self._settings.ports:
            expected = "a port under `head: {reservoir: …}`"
            raise OutOfRangeError(self.name, "to draw", expected, "none in the rig file")
        places, speed = self._places_of(volume_ml), self._speed_of(rate_ml_min)
        place = await self._stand_at("reservoir")
        if place + places > _PLACES:
            room = f"room for {(_PLACES - place) * self._ml_per_place:.4g} mL in its syringe"
            raise OutOfRangeError(self.name, f"to draw {volume_ml:g} mL", room, f"{volume_ml:g} mL")
        self._draws = True
        await self._go(speed, place + places, None)

    async def look(self) -> Look:
        """Read firmware and state, and set nothing; raises as `connect`."""
        firmware = await self._line.report("&", _TEXT)
        status = await self._line.status()
        state = "it moves" if status.busy else _ERRORS.get(status.error, "at rest")
        return Look(Identity("Tecan", "Cavro XCalibur", firmware=firmware), {"state": state})

    async def poll(self) -> tuple[float | None, ...]:
        """Read what was dispensed and whether the plunger moves; None where its place is lost.

        Raises:
            NoReplyError: no reply.
            GarbledError: a reply that is not in the grammar, twice.
        """
        status = await self._line.status(Priority.POLL)
        moves = status.busy and not self._draws
        try:
            place = await self._place(Priority.POLL)
        except RefusedByDeviceError:
            return None, float(moves)
        return self._gone_ml(place), float(moves)

    @staticmethod
    def rates_ml_min(bore_mm: float) -> tuple[float, float]:
        """Return the least and greatest rate in mL/min: 20 min and 1 s for a stroke of 30 mm."""
        stroke_ml = math.pi / 4 * (bore_mm / 10) ** 2 * _STROKE_CM
        # Held a little inside, for a bore that does not quite fit its volume.
        per_pulse = stroke_ml / _HALF_STEPS * 60
        return per_pulse * _SLOWEST * (1 + _ALIKE), per_pulse * _FASTEST * (1 - _ALIKE)

    def rate_limits_ml_min(self) -> tuple[float, float]:
        """Return the least and greatest rate in mL/min with the fitted syringe."""
        return self.rates_ml_min(self._settings.bore_mm)

    def rounded_volume_ml(self, volume_ml: float) -> float:
        """Return what is dispensed when `volume_ml` is asked: whole places, in mL.

        Raises:
            OutOfRangeError: less than a place, or more than the syringe.
        """
        return self._places_of(volume_ml) * self._ml_per_place

    async def infuse(self, volume_ml: float, rate_ml_min: float, gate: Gate | None = None) -> None:
        """Start to dispense a volume in mL into the flask at a rate in mL/min.

        The valve is turned to the flask and read back first; only the plunger's move asks `gate`.
        The rate is that of the nearest speed of 5 .. 6000 half-steps per second.

        Raises:
            OutOfRangeError: beyond the syringe, what it holds, or the speeds.
            NoReplyError: no reply; after the move it is not known whether the plunger moves.
            GarbledError: a reply that is not in the grammar.
            RefusedByDeviceError: it moves, is not prepared, was blocked, or reads back otherwise.
        """
        places, speed = self._places_of(volume_ml), self._speed_of(rate_ml_min)
        place = await self._stand_at("flask")
        if places > place:
            asked, held = f"{volume_ml:g} mL", f"{place * self._ml_per_place:.4g} mL"
            raise OutOfRangeError(self.name, asked, f"at most the {held} in its syringe", asked)
        self._draws = False
        await self._go(speed, place - places, gate)

    async def stop(self) -> None:
        """Stop the plunger where it is; the counter keeps its value.

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
        """Terminate, twice: half a question of ours may swallow the first."""
        return (self._line.written("T"),) * 2

    async def dispensed_ml(self) -> float:
        """Return how far the plunger went since the counter was reset, in mL.

        Raises:
            NoReplyError: no reply.
            GarbledError: a reply that is not in the grammar, twice.
            RefusedByDeviceError: the plunger's place is lost.
        """
        moves = (await self._line.status()).busy
        return self._gone_ml(await (self._place() if moves else self._resting_place()))

    async def reset_counter(self) -> None:
        """Count from the plunger's present place.

        Raises:
            NoReplyError: no reply.
            GarbledError: a reply that is not in the grammar, twice.
            RefusedByDeviceError: it moves, or its place is lost.
        """
        await self._at_rest("to count from here")
        self._zero = await self._resting_place()

    async def state(self) -> PumpState:
        """Read what the pump does now.

        Raises:
            NoReplyError: no reply.
            GarbledError: a reply that is not in the grammar, twice.
        """
        status = await self._line.status()
        if status.error == _PLUNGER:
            return PumpState.STALLED
        if status.error and not status.busy:
            return PumpState.ALARM
        if status.busy:
            return PumpState.WITHDRAWING if self._draws else PumpState.INFUSING
        return PumpState.IDLE

    async def _stand_at(self, where: str) -> int:
        # Turns the valve with the plunger at rest, and returns the plunger's place.
        await self._at_rest(f"to turn to {where}")
        await self._line.act("N1R")
        port = self._settings.ports[where]
        wanted = _LETTERS.get(port, port)
        if await self._line.report("?6", _PORT) != wanted:
            await self._line.act(f"I{port}R" if port.isdigit() else f"{wanted.upper()}R")
            await self._settle(f"to turn to {where}")
            seen = await self._line.report("?6", _PORT)
            if seen != wanted:
                raise RefusedByDeviceError(self.name, "?6", f"port {wanted} read back", seen)
        return await self._resting_place()

    async def _go(self, speed: int, target: int, gate: Gate | None) -> None:
        await self._line.act(f"V{speed}R")
        seen = await self._line.report("?2", _NUMBER)
        if int(seen) != speed:
            raise RefusedByDeviceError(self.name, "?2", f"{speed} half-steps/s read back", seen)
        await self._line.act(f"A{target}R", gate)

    async def _at_rest(self, asked: str) -> None:
        status = await self._line.status()
        if status.error or status.busy:
            raise self._refused(asked, _ERRORS.get(status.error or 15, f"error {status.error}"))
        if not _PORT.fullmatch(await self._line.report("?6", _TEXT)):
            raise self._refused(asked, _ERRORS[_NOT_INITIALISED])

    async def _settle(self, asked: str) -> None:
        for _ in range(_SETTLED_POLLS):
            status = await self._line.status()
            if status.error:
                raise self._refused(asked, _ERRORS.get(status.error, f"error {status.error}"))
            if not status.busy:
                return
            await self._line.pause()
        raise self._refused(asked, "it does not come to rest")

    async def _place(self, priority: Priority = Priority.COMMAND) -> int:
        place = int(await self._line.report("?", _PLACE, priority))
        # Asked second: a pump that lost its place meanwhile does not know its port either.
        if not _PORT.fullmatch(await self._line.report("?6", _TEXT, priority)):
            raise self._refused("?", _ERRORS[_NOT_INITIALISED])
        if place > _PLACES:
            raise GarbledError(self.name, "?", f"a place of 0 .. {_PLACES}", str(place))
        return place

    async def _resting_place(self) -> int:
        # DT has no checksum: what a dose starts from, or ends with, is read twice.
        place, again = await self._place(), await self._place()
        if place != again:
            raise GarbledError(self.name, "?", f"{place} once more, at rest", str(again))
        return place

    def _gone_ml(self, place: int) -> float:
        return (self._zero - place) * self._ml_per_place

    async def _halt(self, priority: Priority) -> None:
        for tries_left in (2, 1, 0):
            try:
                await self._line.act("T", priority=priority, forgives=True)
                break
            except DeviceError:
                if not tries_left:
                    raise
        for _ in range(_SETTLED_POLLS):
            if not (await self._line.status(priority)).busy:
                return
            await self._line.pause(priority)
        raise RefusedByDeviceError(self.name, "T", "a pump at rest", "it still moves")

    def _places_of(self, volume_ml: float) -> int:
        asked = f"{volume_ml:g} mL"
        if not self._ml_per_place / 2 < volume_ml <= self._settings.syringe_ml:
            expected = f"{self._ml_per_place * 1e3:.3g} µL .. {self._settings.syringe_ml:g} mL"
            raise OutOfRangeError(self.name, asked, expected, asked)
        return round(volume_ml / self._ml_per_place)

    def _speed_of(self, rate_ml_min: float) -> int:
        asked = f"{rate_ml_min:g} mL/min"
        low, high = self.rate_limits_ml_min()
        if not low <= rate_ml_min <= high:
            expected = f"{low:.3g} .. {high:.4g} mL/min with {self._settings.syringe_ml:g} mL"
            raise OutOfRangeError(self.name, asked, expected, asked)
        return round(rate_ml_min / 60 / self._settings.syringe_ml * _HALF_STEPS)

    def _refused(self, asked: str, why: str) -> RefusedByDeviceError:
        return RefusedByDeviceError(self.name, asked, "a pump that is ready", why)


class _Status:
    """What a status byte says: busy, and an error or 0."""

    def __init__(self, status: int) -> None:
        self.busy = not status & 0x20
        self.error = status & 0x0F


class _Line:
    """Questions to one pump and their answers, in its protocol."""

    def __init__(self, port: Port, settings: DeviceSettings) -> None:
        self._port = port
        self._name = settings.name
        self._address = FIRST_ADDRESS + settings.address
        self._oem = settings.protocol != "dt"
        self._number = 0

    def written(self, text: str, *, repeated: bool = False) -> bytes:
        """Write a command as the protocol wants it, with the sequence number of the last one."""
        data = text.encode("ascii")
        if not self._oem:
            return dt_command(self._address, data)
        return oem_command(self._address, data, self._number, repeated=repeated)

    async def status(self, priority: Priority = Priority.COMMAND) -> _Status:
        """Read the status; only this question tells whether the pump is busy."""
        return _Status((await self._read("Q", priority)).status)

    async def report(
        self, text: str, grammar: re.Pattern[str], priority: Priority = Priority.COMMAND
    ) -> str:
        """Read a report, which must be in its grammar.

        Raises:
            GarbledError: it is not, twice.
        """
        data = ""
        for _ in range(2):
            data = (await self._read(text, priority)).data.decode("latin-1")
            if grammar.fullmatch(data):
                return data
        raise GarbledError(self._name, text, grammar.pattern, repr(data))

    async def act(
        self,
        text: str,
        gate: Gate | None = None,
        *,
        priority: Priority = Priority.COMMAND,
        forgives: bool = False,
    ) -> None:
        """Send what changes something, in OEM again as a repetition until it is acknowledged.

        A pump that heard it the first time acknowledges a repetition and does nothing. In DT it is
        sent once. `forgives` passes over errors that the pump had before.

        Raises:
            RefusedByDeviceError: the pump answers with an error.
        """
        tries = _TRIES if self._oem else 1
        answer = await self._patiently(text, priority, gate, tries, repeats=True)
        error = answer.status & 0x0F
        if error and not forgives:
            why = _ERRORS.get(error, "its manual does not say why")
            raise RefusedByDeviceError(self._name, text, "no error", f"error {error}: {why}")

    async def pause(self, priority: Priority = Priority.COMMAND) -> None:
        """Leave the line alone for a moment, so that a motor may come to rest."""
        with contextlib.suppress(NoReplyError):
            await self._port.ask(self._name, b"", _never, timeout_s=_PAUSE_S, priority=priority)

    async def _read(self, text: str, priority: Priority) -> Answer:
        return await self._patiently(text, priority, None, 2, repeats=False)

    async def _patiently(
        self, text: str, priority: Priority, gate: Gate | None, tries: int, *, repeats: bool
    ) -> Answer:
        # A repetition keeps its number; a question that changes nothing is asked anew.
        self._number = self._number % 7 + 1
        again = False
        while True:
            try:
                return await self._ask(text, priority, gate, repeated=again)
            except AbandonedError:
                raise
            except (NoReplyError, GarbledError):
                tries -= 1
                if not tries:
                    raise
            again = repeats
            self._number = self._number if repeats else self._number % 7 + 1

    async def _ask(
        self, text: str, priority: Priority, gate: Gate | None, *, repeated: bool = False
    ) -> Answer:
        frame = oem_frame if self._oem else dt_frame
        reply = await self._port.ask(
            self._name,
            self.written(text, repeated=repeated),
            frame,
            timeout_s=_REPEAT_AFTER_S if self._oem else _TERMINAL_S,
            priority=priority,
            gate=gate,
        )
        answer = read_oem(reply) if self._oem else read_dt(reply)
        if answer is None or answer.status & 0xD0 != 0x40:
            expected = "an answer with a status byte" + (" and its checksum" if self._oem else "")
            raise GarbledError(self._name, text, expected, repr(reply))
        return answer


def _never(_: bytes) -> None:
    """Frame what does not come: only the time passes."""


def _check(settings: DeviceSettings) -> None:
    stroke_ml = math.pi / 4 * (settings.bore_mm / 10) ** 2 * _STROKE_CM
    fits = settings.syringe_ml > 0 and abs(stroke_ml / settings.syringe_ml - 1) <= _ALIKE
    ports = settings.ports
    numbered = {port.isdigit() for port in ports.values()}
    for asked, holds, expected, got in (
        ("address", 0 <= settings.address <= 14, "0 .. 14, its switch", settings.address),
        ("protocol", settings.protocol in {"", "oem", "dt"}, "oem or dt", settings.protocol),
        ("watchdog", not settings.watchdog_s, "none, the pump has no watchdog", "one"),
        ("valve head", "flask" in ports, "`head: {flask: …}`, a port for the flask", "none"),
        ("valve head", len(numbered) < 2, "numbers, or input and output", dict(ports)),
        (
            "valve head",
            ports.get("waste", "output") == "output" or numbered == {True},
            "waste at the output, where a valve without numbers initialises",
            ports.get("waste"),
        ),
        (
            "syringe",
            fits,
            f"{stroke_ml:.3g} mL, a stroke of 30 mm with a bore of {settings.bore_mm:g} mm",
            f"{settings.syringe_ml:g} mL",
        ),
    ):
        if not holds:
            raise OutOfRangeError(
                settings.name, f"the {asked} of the rig file", expected, f"{got}; correct it"
            )
