"""Simulated Coherent OBIS 405 LX: SCPI-like lines with handshaking.

Sources: python-microscope 0.7.0 and other open drivers (commands, handshake, status words seen on
a real head: C8001002 emitting, C8000008 off); the error numbers -100 (command not known) and -220
(parameter not possible) are from memory. Long and short forms in any case; CR, LF or both end a
line. Tests and faults set `interlock_closed` and `fault`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass

from labctl.twin import Plant, TwinDevice

_NS = 1_000_000_000
_REPLY_NS = 3_000_000
_CDRH_NS = 5 * _NS
_LONGEST = 256

_IDENTITY = "Coherent, Inc-OBIS 405nm 50mW C-V1.0.1-Dec 14 2010"
_LOW_W = 0.001
_HIGH_W = 0.055
_NOMINAL_W = 0.050

_FAULTED, _EMITTING, _STANDBY, _DELAYED = 0x01, 0x02, 0x08, 0x10
_KEY_ON, _SUPPLIED = 0xC8000000, 0x1000

_LINE_END = re.compile(rb"[\r\n]")


class ScpiError(Exception):
    """A line the laser refuses, with the number it answers."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@dataclass(frozen=True, slots=True)
class Command:
    """What a header does: `read` answers its query, `write` takes its argument."""

    read: Callable[[], str] | None = None
    write: Callable[[str], None] | None = None


class SimObis:
    """A 405 nm, 50 mW head; light comes 5 s after `ON` while its CDRH delay is on."""

    def __init__(self, device: TwinDevice, plant: Plant) -> None:
        self.interlock_closed = True
        self.fault = 0
        self._plant = plant
        self._beam = device.touches.get("laser", "laser")
        self._noise = plant.stream(f"{device.name}.noise")
        self._buffer = bytearray()
        self._errors: list[int] = []
        self._now_ns = 0
        self._on_ns: int | None = None
        self._beam_mw = 0.0
        self._level_w = _NOMINAL_W
        self._mode = "CWP"
        self._flags = {"handshake": True, "cdrh": True, "autostart": False, "probe": True}
        self._commands = self._table()

    def feed(self, data: bytes, t_ns: int) -> list[tuple[int, bytes]]:
        """Take bytes; answer every whole line."""
        self.advance(t_ns)
        self._buffer += data
        *lines, rest = _LINE_END.split(bytes(self._buffer))
        self._buffer = bytearray(rest[-_LONGEST:])
        replies = [self._answer(line[-_LONGEST:]) for line in lines if line.strip()]
        self.advance(t_ns)
        return [(_REPLY_NS, reply) for reply in replies if reply]

    def advance(self, t_ns: int) -> None:
        """Bring the beam to `t_ns`: the CDRH delay ends, the interlock or a fault stops it."""
        self._now_ns = t_ns
        if not self.interlock_closed or self.fault:
            self._on_ns = None
        beam_mw = 1e3 * self._level_w if self._emits() else 0.0
        if beam_mw != self._beam_mw:
            self._beam_mw = beam_mw
            self._plant.put(self._beam, beam_mw, t_ns)

    def power_cycle(self, t_ns: int) -> None:
        """Switch off and on: no light, since it does not start by itself; settings stay."""
        self._on_ns = None
        self._buffer.clear()
        self._errors.clear()
        self.advance(t_ns)

    def _emits(self) -> bool:
        delay_ns = _CDRH_NS if self._flags["cdrh"] else 0
        return self._on_ns is not None and self._now_ns >= self._on_ns + delay_ns

    def _answer(self, line: bytes) -> bytes:
        try:
            value = self._obey(line.decode("ascii", "replace").strip())
        except ScpiError as error:
            self._errors.append(error.number)
            return f"ERR{error.number}\r\n".encode() if self._flags["handshake"] else b""
        said = f"{value}\r\n" if value is not None else ""
        return (said + "OK\r\n" if self._flags["handshake"] else said).encode()

    def _obey(self, line: str) -> str | None:
        header, _, argument = line.partition(" ")
        command = self._commands.get(header.removesuffix("?").upper())
        if command is None:
            raise ScpiError(-100)
        if header.endswith("?"):
            if command.read is None:
                raise ScpiError(-100)
            return command.read()
        if command.write is None:
            raise ScpiError(-100)
        command.write(argument.strip().upper())
        return None

    def _table(self) -> dict[str, Command]:
        rows = {
            "*IDN": Command(lambda: _IDENTITY),
            "*RST": Command(write=self._reset),
            "*TST": Command(lambda: "0"),
            "SYSTem:COMMunicate:HANDshaking": self._flag("handshake"),
            "SYSTem:COMMunicate:PROMpt": Command(lambda: "OFF", _only("OFF")),
            "SYSTem:AUTostart": self._flag("autostart"),
            "SYSTem:CDRH": self._flag("cdrh"),
            "SYSTem:STATus": Command(lambda: f"{self._status():08X}"),
            "SYSTem:FAULt": Command(lambda: f"{self.fault:08X}"),
            "SYSTem:LOCK": Command(lambda: "ON" if self.interlock_closed else "OFF"),
            "SYSTem:HOURs": Command(lambda: "1204.60"),
            "SYSTem:CYCLes": Command(lambda: "318"),
            "SYSTem:DIODe:HOURs": Command(lambda: "873.25"),
            "SYSTem:ERRor:COUNt": Command(lambda: str(len(self._errors))),
            "SYSTem:ERRor:NEXT": Command(self._next_error),
            "SYSTem:ERRor:CLEar": Command(write=self._clear_errors),
            "SYSTem:INFormation:MODel": Command(lambda: "OBIS 405nm 50mW C"),
            "SYSTem:INFormation:SNUMber": Command(lambda: "LM40521"),
            "SYSTem:INFormation:PNUMber": Command(lambda: "1185052"),
            "SYSTem:INFormation:FVERsion": Command(lambda: "V1.0.1"),
            "SYSTem:INFormation:PVERsion": Command(lambda: "P1.0"),
            "SYSTem:INFormation:WAVelength": Command(lambda: "405"),
            "SYSTem:INFormation:POWer": Command(lambda: f"{_NOMINAL_W:.5f}"),
            "SYSTem:INFormation:TYPe": Command(lambda: "DDL"),
            "SOURce:AM:STATe": Command(self._state, self._switch),
            "SOURce:AM:SOURce": Command(lambda: self._mode),
            "SOURce:AM:INTernal": Command(write=self._choose({"CWP", "CWC"})),
            "SOURce:AM:EXTernal": Command(write=self._choose({"DIGITAL", "ANALOG", "MIXED"})),
            "SOURce:POWer:LEVel": Command(self._measured),
            "SOURce:POWer:LEVel:IMMediate:AMPLitude": Command(
                lambda: f"{self._level_w:.5f}", self._set_level
            ),
            "SOURce:POWer:LIMit:LOW": Command(lambda: f"{_LOW_W:.5f}"),
            "SOURce:POWer:LIMit:HIGH": Command(lambda: f"{_HIGH_W:.5f}"),
            "SOURce:POWer:NOMinal": Command(lambda: f"{_NOMINAL_W:.5f}"),
            "SOURce:TEMPerature:APRobe": self._flag("probe"),
            "SOURce:TEMPerature:BASeplate": Command(lambda: "27.4C"),
        }
        return {form: command for header, command in rows.items() for form in _forms(header)}

    def _flag(self, name: str) -> Command:
        def write(argument: str) -> None:
            self._flags[name] = _on(argument)

        return Command(lambda: "ON" if self._flags[name] else "OFF", write)

    def _choose(self, modes: set[str]) -> Callable[[str], None]:
        def write(argument: str) -> None:
            if argument not in modes:
                raise ScpiError(-220)
            self._mode = argument

        return write

    def _state(self) -> str:
        return "OFF" if self._on_ns is None else "ON"

    def _switch(self, argument: str) -> None:
        if not _on(argument):
            self._on_ns = None
        elif self._on_ns is None and self.interlock_closed and not self.fault:
            self._on_ns = self._now_ns

    def _status(self) -> int:
        if self.fault:
            return _KEY_ON | _SUPPLIED | _FAULTED
        if self._on_ns is None:
            return _KEY_ON | _STANDBY
        return _KEY_ON | _SUPPLIED | (_EMITTING if self._emits() else _DELAYED)

    def _measured(self) -> str:
        power_w = self._level_w * (1 + self._noise.gauss(0.0, 0.002)) if self._emits() else 0.0
        return f"{power_w:.5f}"

    def _set_level(self, argument: str) -> None:
        try:
            level_w = float(argument)
        except ValueError:
            raise ScpiError(-220) from None
        if not _LOW_W <= level_w <= _HIGH_W:
            raise ScpiError(-220)
        self._level_w = level_w

    def _reset(self, _argument: str) -> None:
        self._on_ns = None
        self._errors.clear()

    def _next_error(self) -> str:
        return str(self._errors.pop(0)) if self._errors else "0"

    def _clear_errors(self, _argument: str) -> None:
        self._errors.clear()


def _forms(header: str) -> set[str]:
    words = [
        {word.upper(), "".join(letter for letter in word if not letter.islower())}
        for word in header.split(":")
    ]
    return {":".join(form) for form in itertools.product(*words)}


def _on(argument: str) -> bool:
    if argument not in {"ON", "OFF"}:
        raise ScpiError(-220)
    return argument == "ON"


def _only(allowed: str) -> Callable[[str], None]:
    def write(argument: str) -> None:
        if argument != allowed:
            raise ScpiError(-220)

    return write
