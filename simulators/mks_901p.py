"""Simulated MKS 901P and 974B transducers on RS-485: ACK and NAK, units, relays, adjustments.

Messages may be in small letters; address 254 is answered by all, 255 obeyed in silence. Sources:
MKS 910, 971 and 902B operation manuals, "Query and Command Syntax" and command lists; the NAK table
of a 901P. Not checked: the address in the answer to 254 (here the transducer's own), and what the
cold cathode sends while it is off (here zero).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import ClassVar

from labctl.errors import LabctlError
from labctl.framing.mks import TERMINATOR
from labctl.twin import Plant, TwinDevice

_ANSWER_AFTER_NS = 5_000_000
_LONGEST = 64
_HOUR_NS = 3_600_000_000_000
_MESSAGE = re.compile(r"@(\d{3})([A-Z]{1,4}\d?)([?!]?)([ -~]*)")
_NUMBER = re.compile(r"\d+(?:\.\d*)?(?:E[+-]?\d{1,2})?")
_UNITS_PER_MBAR = {"TORR": 0.750061683, "MBAR": 1.0, "PASCAL": 100.0}
_ANY, _ALL = 254, 255
_CATHODE_ON_MBAR = 1e-2
_COMBINED_FROM_MBAR = 20.0
TOO_HIGH, TOO_LOW, UNKNOWN, ARGUMENT, RANGE, CHARACTER, LOCKED = 8, 9, 160, 169, 172, 175, 180

_CHOICES = {
    "U": tuple(_UNITS_PER_MBAR),
    "BR": ("4800", "9600", "19200", "38400", "57600", "115200", "230400"),
    "RSD": ("ON", "OFF"),
    "SPD": ("ON", "OFF"),
    "SW": ("ON", "OFF"),
    "GT": ("NITROGEN", "AIR", "ARGON", "HELIUM", "HYDROGEN", "H2O", "NEON", "CO2", "XENON"),
} | {
    f"{word}{n}": choices
    for n in (1, 2, 3)
    for word, choices in (
        ("EN", ("OFF", "ON", "CMB", "PIR", "PZ", "CC")),
        ("SD", ("ABOVE", "BELOW")),
    )
}


class RefusalError(LabctlError):
    """The transducer answers NAK with this code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"NAK{code}")
        self.code = code


class SimMks901p:
    """One transducer; `state` is what `T?` says (M, C, Z: a sensor failed), `mute` cuts its line.

    `touches` maps a query's number (1, 3, 4, 5) to what is measured; all measure the same.
    """

    model: ClassVar[str] = "901P"
    name: ClassVar[str] = "LoadLock"
    pressures: ClassVar[tuple[int, ...]] = (1, 2, 3, 4)

    def __init__(self, device: TwinDevice, plant: Plant) -> None:
        self.state = "O"
        self.mute = False
        self.address = device.settings.address
        self.values = {"U": "TORR", "BR": "9600", "RSD": "ON", "SPD": "ON", "SW": "OFF",
                       "GT": "NITROGEN", "UT": "VACUUM1"}  # fmt: skip
        for n in (1, 2, 3):
            self.values |= {f"EN{n}": "OFF", f"SD{n}": "BELOW"}
            self.values |= {f"SP{n}": "1.00E-2", f"SH{n}": "1.10E-2"}
        self._plant = plant
        self._thing = next(iter(device.touches.values()), "flask.P")
        self._chance = plant.stream(f"{device.name}.noise")
        self._buffer = bytearray()
        self._fixed: dict[str, Callable[[int], str]] = {
            "AD": lambda _: f"{self.address:03d}",
            "MD": lambda _: self.model,
            "DT": lambda _: self.name,
            "MF": lambda _: "MKS",
            "HV": lambda _: "A",
            "FV": lambda _: "1.12",
            "SN": lambda _: "08350123456",
            "TIM": lambda t_ns: str(t_ns // _HOUR_NS),
            "TEM": lambda _: "2.50E+1",
            "T": self._status,
        }

    def feed(self, data: bytes, t_ns: int) -> list[tuple[int, bytes]]:
        """Take bytes that arrived at `t_ns`; return (delay in ns, reply) pairs, in order."""
        self._buffer += data
        replies = []
        while (end := self._buffer.find(TERMINATOR)) >= 0:
            start = max(self._buffer.rfind(b"@", 0, end), 0)
            message = bytes(self._buffer[start:end])
            del self._buffer[: end + len(TERMINATOR)]
            answer = self._hear(message, t_ns)
            if answer and not self.mute:
                replies.append((_ANSWER_AFTER_NS, answer))
        del self._buffer[:-_LONGEST]
        return replies

    def advance(self, t_ns: int) -> None:
        """Do nothing: the transducer has no clockwork that shows."""

    def power_cycle(self) -> None:
        """Switch off and on: half a message is forgotten, the settings stay."""
        self._buffer.clear()

    def _hear(self, message: bytes, t_ns: int) -> bytes:
        match = _MESSAGE.fullmatch(message.decode("ascii", "replace").upper())
        address = int(message[1:4]) if re.match(rb"@\d{3}", message) else -1
        if address not in {self.address, _ANY, _ALL}:
            return b""
        own = self.address
        word, sign, argument = match.groups()[1:] if match else ("", "", "")
        try:
            answer = f"@{own:03d}ACK{self._obey(word, sign, argument, t_ns)};FF"
        except RefusalError as refusal:
            answer = f"@{own:03d}NAK{refusal.code};FF"
        return b"" if address == _ALL else answer.encode("ascii")

    def _obey(self, word: str, sign: str, argument: str, t_ns: int) -> str:
        known = word in self._fixed or word in self.values
        known = known or word in {"VAC", "ATM", "FS"} or self._is_measured(word)
        if not known:
            raise RefusalError(UNKNOWN)
        if not sign or (sign == "?" and argument):
            raise RefusalError(CHARACTER)
        return self._query(word, t_ns) if sign == "?" else self._command(word, argument, t_ns)

    def _is_measured(self, word: str) -> bool:
        return word in {f"PR{n}" for n in self.pressures} | {"SS1", "SS2", "SS3"}

    def _query(self, word: str, t_ns: int) -> str:
        if word.startswith("PR"):
            return self._pressure(int(word[2]), t_ns)
        if word.startswith("SS"):
            return self._relay(word[2], t_ns)
        if word in self._fixed:
            return self._fixed[word](t_ns)
        if word not in self.values:
            raise RefusalError(CHARACTER)
        return self.values[word]

    def _command(self, word: str, argument: str, t_ns: int) -> str:
        if word in {"VAC", "ATM"}:
            return self._adjust(word, t_ns)
        if word == "AD":
            return self._readdress(argument)
        if word in self._fixed or self._is_measured(word) or word == "FS":
            raise RefusalError(CHARACTER)
        if word in _CHOICES and argument not in _CHOICES[word]:
            raise RefusalError(ARGUMENT)
        if word[:2] in {"SP", "SH"} and word[2:].isdigit():
            argument = self._setpoint(argument)
        self.values[word] = argument
        return argument

    def _setpoint(self, argument: str) -> str:
        if not _NUMBER.fullmatch(argument):
            raise RefusalError(ARGUMENT)
        value = float(argument)
        if not 0.0 < value / _UNITS_PER_MBAR[self.values["U"]] <= 2000.0:
            raise RefusalError(RANGE)
        return _scientific(value, 2)

    def _readdress(self, argument: str) -> str:
        if not re.fullmatch(r"\d{1,3}", argument):
            raise RefusalError(ARGUMENT)
        if not 1 <= int(argument) <= _ANY - 1:
            raise RefusalError(RANGE)
        self.address = int(argument)
        return f"{self.address:03d}"

    def _adjust(self, word: str, t_ns: int) -> str:
        pressure_mbar = self._plant.get(self._thing, t_ns)
        if word == "VAC" and pressure_mbar > 1e-2:
            raise RefusalError(TOO_HIGH)
        if word == "ATM" and pressure_mbar < 500.0:
            raise RefusalError(TOO_LOW)
        return ""

    def _status(self, t_ns: int) -> str:
        burning = 5 in self.pressures and self._plant.get(self._thing, t_ns) < _CATHODE_ON_MBAR
        return "G" if self.state == "O" and burning else self.state

    def _relay(self, number: str, t_ns: int) -> str:
        seen = float(self._pressure(4, t_ns))
        below = self.values[f"SD{number}"] == "BELOW"
        limit = float(self.values[f"SP{number}"])
        active = self.values[f"EN{number}"] != "OFF" and (seen < limit if below else seen > limit)
        return "SET" if active else "CLEAR"

    def _pressure(self, number: int, t_ns: int) -> str:
        true_mbar = self._plant.get(self._thing, t_ns)
        if number == 2:
            return _scientific((true_mbar - 1013.25) * _UNITS_PER_MBAR[self.values["U"]], 2)
        if number == 5:
            seen_mbar = true_mbar if true_mbar < _CATHODE_ON_MBAR else 0.0
        elif number == 1 and true_mbar > _COMBINED_FROM_MBAR:
            seen_mbar = true_mbar * (1.0 + self._chance.gauss(0.0, 0.05))
        else:
            seen_mbar = true_mbar * (1.0 + self._chance.gauss(0.0, 0.005))
        return _scientific(seen_mbar * _UNITS_PER_MBAR[self.values["U"]], 3 if number == 4 else 2)


class SimMks974b(SimMks901p):
    """The 974B, with a cold cathode that burns below 1e-2 mbar."""

    model = "974B"
    name = "QuadMag"
    pressures = (1, 2, 3, 4, 5)


def _scientific(value: float, decimals: int) -> str:
    """Write a number as the transducers do, with one digit of exponent where it is enough.

    >>> _scientific(760.0, 2), _scientific(1.234e-3, 3), _scientific(0.0, 2)
    ('7.60E+2', '1.234E-3', '0.00E+0')
    """
    mantissa, _, exponent = f"{value:.{decimals}E}".partition("E")
    return f"{mantissa}E{int(exponent):+d}"
