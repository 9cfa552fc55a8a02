"""Harvard Apparatus Pump 11 Elite and PHD Ultra (and KDS Legato), one of several on a chain.

A dose is a target for the pump's own counter of infused volume: what it infused before plus the
dose. A target that was reached does not move the plunger again. Prompts have no end of their own:
whatever is set is read back. Source: PHD ULTRA user's guide 5419-002, pp. 83-88; Legato 100 user's
manual 5617-006, pp. 51-60.
"""

from __future__ import annotations

import contextlib
import math
import re

from labctl.capabilities import DeviceSettings, Gate, Identity, Look, PumpState
from labctl.errors import (
    DeviceError,
    GarbledError,
    NoReplyError,
    OutOfRangeError,
    RefusedByDeviceError,
)
from labctl.framing.harvard import Reply, read, replies
from labctl.readings import Channel
from labctl.transport import Port, Priority

_TIMEOUT_S = 0.5
_QUIET_S = 0.05
_ALIKE = 1e-3
_ML_PER_FL = 1e-12
_NOT_SET = "Target volume not set"

_NUMBER = r"(\d+\.?\d*|\.\d+)"
_LENGTH = re.compile(rf"{_NUMBER} mm", re.ASCII)
_VOLUME = re.compile(rf"{_NUMBER} ([munp])l", re.ASCII)
_RATE = re.compile(rf"{_NUMBER} ([munp])l/(hr|h|min|s|sec)", re.ASCII)
_LIMITS = re.compile(rf"{_RATE.pattern} to {_RATE.pattern}", re.ASCII)
_VERSION = re.compile(r"(.*\S) v?(\d+(?:\.\d+)+)", re.ASCII)
_STATUS = re.compile(
    r"\s*(\d+)\s+(\d+)\s+(\d+)\s+([iIwW])[.iIwW]([.S])[.T][.iIwW]([.T]?)", re.ASCII
)
_REFUSAL = re.compile(r"error|unknown command|out of range", re.IGNORECASE)
_ML = {"m": 1.0, "u": 1e-3, "n": 1e-6, "p": 1e-9}
_PER_MIN = {"h": 1 / 60, "m": 1.0, "s": 60.0}

_STATES = {
    ":": PumpState.IDLE,
    "T*": PumpState.IDLE,
    ">": PumpState.INFUSING,
    "<": PumpState.WITHDRAWING,
    "*": PumpState.STALLED,
    ">*": PumpState.ALARM,
    "<*": PumpState.ALARM,
}
_MOVING = frozenset("<>")

# A microstep of the Elite, 25.4 mm / 24 / 2.4 / 6400, takes 26 µs to 27 s (its `metrics`); the
# margins keep a rate that is rounded in the reply inside.
_MICROSTEP_CM = 2.54 / 24 / (2.4 * 6400)
_FASTEST_CM_MIN = _MICROSTEP_CM / 26e-6 * 60 * 0.999
_SLOWEST_CM_MIN = _MICROSTEP_CM / 27 * 60 * 1.001


class HarvardElite11:
    """A syringe pump (capability SyringePump); `dispensed` counts what was infused, in mL.

    Raises:
        OutOfRangeError: address, bore, protocol or watchdog that the pump cannot have.
    """

    def __init__(self, port: Port, settings: DeviceSettings) -> None:
        self.name = settings.name
        self.channels = (Channel("dispensed", "volume"), Channel("infusing", "truth"))
        _check(settings)
        self._settings = settings
        self._chain = _Chain(port, settings.name, settings.address)
        self._limits = self.rates_ml_min(settings.bore_mm)
        self._seen_ml = 0.0

    async def connect(self) -> Identity:
        """Read the version; at rest set and read back bore and volume; read the limits of rate.

        A pump found moving keeps its settings; they are checked before the next dose. The bore is
        written only where it differs.

        Raises:
            NoReplyError: nothing answers at this address.
            GarbledError: something else answers.
            RefusedByDeviceError: a setting was refused, or reads back differently.
        """
        model, firmware = await self._chain.query("ver", _VERSION)
        if (await self._chain.ask("")).prompt not in _MOVING:
            await self._fit_syringe()
        limits = await self._chain.query("irate lim", _LIMITS)
        self._limits = _rate_ml_min(limits[:3]), _rate_ml_min(limits[3:])
        return Identity("Harvard Apparatus", model, firmware=firmware)

    async def look(self) -> Look:
        """Read version, bore and limits of rate, and set nothing; raises as `connect`."""
        model, firmware = await self._chain.query("ver", _VERSION)
        bore_mm = float((await self._chain.query("diameter", _LENGTH))[0])
        found = await self._chain.query("irate lim", _LIMITS)
        low, high = _rate_ml_min(found[:3]), _rate_ml_min(found[3:])
        facts = {
            "bore": f"{bore_mm:g} mm, the rig's is {self._settings.bore_mm:g} mm",
            "rates": f"{low:.3g} .. {high:.4g} mL/min",
        }
        return Look(Identity("Harvard Apparatus", model, firmware=firmware), facts)

    async def poll(self) -> tuple[float | None, ...]:
        """Read the counter; the prompt that comes with it says whether the plunger moves.

        Raises:
            NoReplyError: no reply.
            GarbledError: a reply that is not in the grammar, twice.
            RefusedByDeviceError: the counter was lost.
        """
        infused_ml, prompt = await self._infused(Priority.POLL)
        return infused_ml, float(prompt == ">")

    @staticmethod
    def rates_ml_min(bore_mm: float) -> tuple[float, float]:
        """Return the least and greatest rate in mL/min of a Pump 11 Elite with such a bore."""
        area_cm2 = math.pi / 4 * (bore_mm / 10) ** 2
        return area_cm2 * _SLOWEST_CM_MIN, area_cm2 * _FASTEST_CM_MIN

    def rate_limits_ml_min(self) -> tuple[float, float]:
        """Return the least and greatest rate in mL/min, as this pump told them when connected."""
        return self._limits

    async def infuse(self, volume_ml: float, rate_ml_min: float, gate: Gate | None = None) -> None:
        """Start to dispense a volume in mL at a rate in mL/min.

        Syringe, rate and target are read back first; only `irun` asks `gate`, and it is sent once.

        Raises:
            OutOfRangeError: beyond the syringe or the limits of rate; nothing was sent.
            NoReplyError: no reply; after `irun` it is not known whether the plunger moves.
            GarbledError: a reply that is not in the grammar.
            RefusedByDeviceError: it moves already, refused, or reads back otherwise.
        """
        self._check_dose(volume_ml, rate_ml_min)
        infused_ml, prompt = await self._infused(Priority.COMMAND)
        if prompt in _MOVING:
            raise self._moves("to be set up")
        await self._verify_length("diameter", self._settings.bore_mm)
        await self._chain.ask(f"irate {rate_ml_min:.10f} m/m")
        self._agree("irate", rate_ml_min, _rate_ml_min(await self._chain.query("irate", _RATE)))
        target_ml = infused_ml + volume_ml
        await self._chain.ask(f"tvolume {target_ml:.9f} m")
        self._agree("tvolume", target_ml, _ml(await self._chain.query("tvolume", _VOLUME)))
        if (await self._chain.ask("irun", gate=gate)).prompt not in {">", "T*"}:
            seen = (await self._chain.ask("")).prompt
            if seen not in {">", "T*"}:
                raise RefusedByDeviceError(self.name, "irun", "prompt >", repr(seen))

    async def stop(self) -> None:
        """Stop the plunger; the counter keeps its value.

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
        """Stop, twice: half a question of ours may swallow the first."""
        return (self._chain.written("stp"),) * 2

    async def dispensed_ml(self) -> float:
        """Read the counter of what was infused since the last reset, in mL; to 1 fL.

        Raises:
            NoReplyError: no reply.
            GarbledError: a reply that is not in the grammar, twice, or two that differ at rest.
            RefusedByDeviceError: the counter was lost.
        """
        infused_ml, prompt = await self._infused(Priority.COMMAND)
        if prompt in _MOVING:
            return infused_ml
        # Nothing protects the digits on their way: at rest they are read twice.
        again_ml, _ = await self._infused(Priority.COMMAND)
        if again_ml != infused_ml:
            raise GarbledError(self.name, "status", f"{infused_ml:g} mL again", f"{again_ml:g} mL")
        return infused_ml

    async def reset_counter(self) -> None:
        """Set the counter to zero, at rest, and forget the target.

        Raises:
            NoReplyError: no reply.
            GarbledError: a reply that is not in the grammar.
            RefusedByDeviceError: it moves, or the counter is not zero afterwards.
        """
        if (await self._chain.ask("")).prompt in _MOVING:
            raise self._moves("to reset its counter")
        await self._chain.ask("ctvolume")
        await self._chain.ask("civolume")
        self._seen_ml = 0.0
        left_ml = await self.dispensed_ml()
        if left_ml:
            raise RefusedByDeviceError(self.name, "civolume", "0 mL", f"{left_ml:g} mL")

    async def state(self) -> PumpState:
        """Read what the pump does now: its prompt says so.

        Raises:
            NoReplyError: no reply.
            GarbledError: a reply that is not in the grammar, twice.
        """
        return _STATES[(await self._chain.ask("")).prompt]

    async def _fit_syringe(self) -> None:
        bore_mm = self._settings.bore_mm
        if abs(float((await self._chain.query("diameter", _LENGTH))[0]) - bore_mm) > 5e-5:
            await self._chain.ask(f"diameter {bore_mm:.4f} mm")
            await self._verify_length("diameter", bore_mm)
        if self._settings.syringe_ml:
            await self._chain.ask(f"svolume {self._settings.syringe_ml:g} ml")
            seen_ml = _ml(await self._chain.query("svolume", _VOLUME))
            self._agree("svolume", self._settings.syringe_ml, seen_ml)

    async def _verify_length(self, command: str, wanted_mm: float) -> None:
        seen_mm = float((await self._chain.query(command, _LENGTH))[0])
        if abs(seen_mm - wanted_mm) > 5e-5:
            expected = f"{wanted_mm:g} mm read back"
            raise RefusedByDeviceError(self.name, command, expected, f"{seen_mm:g} mm")

    async def _infused(self, priority: Priority) -> tuple[float, str]:
        status, prompt = await self._chain.query_with_prompt("status", _STATUS, priority)
        infused_ml = int(status[2]) * _ML_PER_FL
        if status[3] in "wW":
            # The status counts the present direction only.
            volume, prompt = await self._chain.query_with_prompt("ivolume", _VOLUME, priority)
            infused_ml = _ml(volume)
        if infused_ml < self._seen_ml * (1 - _ALIKE):
            seen = f"at least {self._seen_ml:.6g} mL, as read before"
            got = f"{infused_ml:.6g} mL: it was switched off or reset, and its counter is lost"
            raise RefusedByDeviceError(self.name, "status", seen, got)
        self._seen_ml = infused_ml
        return infused_ml, prompt

    async def _halt(self, priority: Priority) -> None:
        for tries_left in (2, 1, 0):
            try:
                prompt = (await self._chain.ask("stp", priority)).prompt
            except DeviceError:
                if not tries_left:
                    raise
            else:
                if prompt not in _MOVING:
                    return
        raise RefusedByDeviceError(self.name, "stp", "a pump at rest", repr(prompt))

    def _check_dose(self, volume_ml: float, rate_ml_min: float) -> None:
        asked, most_ml = f"{volume_ml:g} mL", self._settings.syringe_ml or math.inf
        if not 1e-6 <= volume_ml <= most_ml:
            raise OutOfRangeError(self.name, asked, f"1 nL .. {most_ml:g} mL", asked)
        asked, (low, high) = f"{rate_ml_min:g} mL/min", self._limits
        if not low <= rate_ml_min <= high:
            expected = f"{low:.3g} .. {high:.4g} mL/min with {self._settings.bore_mm:g} mm bore"
            raise OutOfRangeError(self.name, asked, expected, asked)

    def _agree(self, command: str, wanted: float, seen: float) -> None:
        # Replies round to four decimals of the unit that suits.
        if abs(seen - wanted) > _ALIKE * wanted:
            raise RefusedByDeviceError(self.name, command, f"{wanted:g} read back", f"{seen:g}")

    def _moves(self, asked: str) -> RefusedByDeviceError:
        return RefusedByDeviceError(self.name, asked, "a pump at rest; stop it first", "it moves")


class _Chain:
    """Questions to one address of a chain, and their answers."""

    def __init__(self, port: Port, name: str, address: int) -> None:
        self._port = port
        self._name = name
        self._address = address

    def written(self, command: str) -> bytes:
        """Write a command to this address."""
        head = f"{self._address}:" if self._address else ""
        return f"{head}{command}\r\n".encode("ascii")

    async def query(self, command: str, grammar: re.Pattern[str]) -> tuple[str, ...]:
        """Read the parts of a value."""
        return (await self.query_with_prompt(command, grammar))[0]

    async def query_with_prompt(
        self, command: str, grammar: re.Pattern[str], priority: Priority = Priority.COMMAND
    ) -> tuple[tuple[str, ...], str]:
        """Read the parts of a value and the prompt, once more if the reply was garbled.

        Raises:
            GarbledError: the reply is not in the value's grammar, twice.
        """
        lines: tuple[str, ...] = ()
        for _ in range(2):
            with contextlib.suppress(GarbledError):
                reply = await self.ask(command, priority, lines=1)
                lines = reply.lines
                match = grammar.fullmatch(lines[0]) if len(lines) == 1 else None
                if match is not None:
                    return match.groups(), reply.prompt
            await self._hear_out(priority)
        raise GarbledError(self._name, command, grammar.pattern, repr(lines))

    async def ask(
        self,
        command: str,
        priority: Priority = Priority.COMMAND,
        *,
        lines: int = 0,
        gate: Gate | None = None,
    ) -> Reply:
        """Ask once, for so many lines and a prompt.

        Raises:
            GarbledError: what came is no reply of this pump.
            RefusedByDeviceError: the pump answers with an error.
        """
        reply = await self._port.ask(
            self._name,
            self.written(command),
            replies(lines),
            timeout_s=_TIMEOUT_S,
            priority=priority,
            gate=gate,
        )
        said = read(reply)
        own = (None, 0) if self._address == 0 else (self._address,)
        if said is None or said.address not in own:
            expected = f"lines and a prompt of pump {self._address:02d}"
            raise GarbledError(self._name, command or "its prompt", expected, repr(reply))
        text = " ".join(line.strip() for line in said.lines)
        if _REFUSAL.search(text):
            await self._hear_out(priority)
            raise RefusedByDeviceError(self._name, command, "its consent", text)
        if len(said.lines) > lines:
            raise GarbledError(self._name, command, f"{lines} lines", repr(reply))
        return said

    async def _hear_out(self, priority: Priority) -> None:
        # The beginning of a line looks like a prompt: what still comes must not become the answer
        # to the next question.
        with contextlib.suppress(NoReplyError):
            await self._port.ask(self._name, b"", replies(0), timeout_s=_QUIET_S, priority=priority)


def _ml(parts: tuple[str, ...]) -> float:
    return float(parts[0]) * _ML[parts[1]]


def _rate_ml_min(parts: tuple[str, ...]) -> float:
    return float(parts[0]) * _ML[parts[1]] * _PER_MIN[parts[2][0]]


def _check(settings: DeviceSettings) -> None:
    for asked, holds, expected, got in (
        ("address", 0 <= settings.address <= 99, "0 .. 99", settings.address),
        ("bore", 0.1 <= settings.bore_mm <= 33, "0.1 .. 33 mm", f"{settings.bore_mm:g} mm"),
        ("protocol", not settings.protocol, "none, it knows one only", settings.protocol),
        ("watchdog", not settings.watchdog_s, "none, the pump has no watchdog", "one"),
    ):
        if not holds:
            raise OutOfRangeError(
                settings.name, f"the {asked} of the rig file", expected, f"{got}; correct it"
            )
