"""A simulated Alicat MC-100SCCM-D that answers lines ended by CR, in one of two dialects.

`5v` has registers (R122, $$R46, $$W46=8) and the old `??D*` table; `10v` has words (LS, LSS, GS,
FPF, DCU) and the present table. Both know the frame, `S`, the legacy setpoint in 64000ths, holds,
locks and tares. What is not known is answered `?`; another letter's commands are passed over.
Sources: Alicat Serial Primer rev. 2; replies of 5v12 and 10v20 instruments. Streaming is left out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from labctl.twin import Plant, TwinDevice

_NS = 1_000_000_000
_TURN_ROUND_NS = 5_000_000
_LAG_S = 0.5
_FULL_SCALE_SCCM = 100.0
_LEGACY_FULL_SCALE = 64000.0
_PSI_MBAR = 68.9476
_STANDARD_K, _STANDARD_PSIA = 298.15, 14.696
_LONGEST = 64
_FIRMWARE = {
    "5v": "5v08.0-R22 Nov 30 2014,16:04:20",
    "10v": "10v20.0-R24 Jan  9 2025,15:04:07",
}
_GASES = ("Air", "Ar", "CH4", "CO", "CO2", "C2H6", "H2", "He", "N2", "N2O", "Ne", "O2", "C3H8",
          "n-C4H10", "C2H2", "C2H4", "i-C2H10", "Kr", "Xe", "SF6", "C-25", "C-10", "C-8", "C-2",
          "C-75", "A-75", "A-25", "A1025", "Star29", "P-5")  # fmt: skip
_LONG_GASES = {0: "Air", 1: "Argon", 8: "Nitrogen", 11: "Oxygen"}
_CONTROL_POINTS = frozenset({34, 36, 37, 38, 39})
_STATUS = ("OPL", "POV", "P2O", "TOV", "VOV", "MOV", "TMF", "OVR", "COM", "HLD", "EXH", "GTA",
           "LCK")  # fmt: skip
_OLD_STATUS = ("LCK", "OVR", "POV", "TOV", "VOV", "MOV")
_COLUMNS = (
    ("700", "Unit ID", "string", "1", ""),
    ("002", "Abs Press", "s decimal", "7/2", "010 02 PSIA"),
    ("003", "Flow Temp", "s decimal", "7/2", "002 02 `C"),
    ("004", "Volu Flow", "s decimal", "7/2", "012 02 CCM"),
    ("005", "Mass Flow", "s decimal", "7/2", "012 02 SCCM"),
    ("037", "Mass Flow Setpt", "s decimal", "7/2", "012 02 SCCM"),
    ("703", "Gas", "string", "6", ""),
    ("701", "*Error", "string", "3", "ADC"),
    *(("702", "*Status", "string", "3", code) for code in _STATUS),
)
_UNITS = {2: "10 PSIA", 3: "2 `C", 4: "12 CCM", 5: "12 SCCM", 37: "12 SCCM"}
_SPANS = {2: 160.0, 3: 50.0, 4: _FULL_SCALE_SCCM, 5: _FULL_SCALE_SCCM, 37: _FULL_SCALE_SCCM}
_HOLDS = {"H": "position", "HP": "position", "HC": "closed", "C": ""}
_DECIMAL = re.compile(r"[+-]?\d+(?:\.\d*)?|[+-]?\.\d+", re.ASCII)


class SimAlicatMc:
    """The controller; it puts sccm to `touches["flow"]` and reads the pressure at its outlet.

    `dialect` is `5v` (as delivered here) or `10v`; `source` "A" takes setpoints from an analog
    input and passes over those of the line; `flags` are shown at the end of a frame; `totaliser`
    adds a field; `letter` is its address; `zero_sccm` is the sensor's error until it is tared.
    Faults: `stall`, `flags`, `zero_sccm`, `power_cycle`.
    """

    def __init__(self, device: TwinDevice, plant: Plant) -> None:
        self.dialect = "5v"
        self.letter = chr(ord("A") + max(device.settings.address, 1) - 1)
        self.source = "S"
        self.flags: set[str] = set()
        self.totaliser = False
        self.gas = _GASES.index(device.settings.gas)
        self.flow_sccm = self.setpoint_sccm = self.total_l = 0.0
        self.stalled = False
        self._plant = plant
        self._touches = device.touches
        self._line = bytearray()
        self._at_ns = 0
        self._hold = ""
        self._put_sccm = 0.0
        self.zero_sccm = 0.0
        self._control_point = 37
        self._registers = {21: 100, 22: 400, 23: 100, 85: 1}
        self._ramp = "0 0 0 0"
        self._words: dict[str, Callable[[str], str]] = {
            "LS": self._loop_setpoint,
            "LSS": self._loop_source,
            "LSRC": self._loop_ramp,
            "GS": self._gas_select,
            "FPF": lambda argument: self._statistic(argument, with_span=True),
            "DCU": lambda argument: self._statistic(argument, with_span=False),
        }

    def feed(self, data: bytes, t_ns: int) -> list[tuple[int, bytes]]:
        """Take bytes at `t_ns`; return (delay in ns, lines) for each command of its letter."""
        self.advance(t_ns)
        replies = []
        for byte in data:
            if byte != 0x0D:
                if byte != 0x0A and len(self._line) <= _LONGEST:
                    self._line.append(byte)
                continue
            text = self._line.decode("latin-1").strip()
            self._line.clear()
            if text[:1].upper() == self.letter and len(text) <= _LONGEST:
                reply = self._obey(text[1:].strip())
                replies.append((_TURN_ROUND_NS, reply.encode("ascii")))
        return replies

    def advance(self, t_ns: int) -> None:
        """Let the valve follow until `t_ns`."""
        passed_s = (t_ns - self._at_ns) / _NS
        if passed_s <= 0:
            return
        self._at_ns = t_ns
        target_sccm = {"position": self.flow_sccm, "closed": 0.0}.get(
            self._hold, self.setpoint_sccm
        )
        if "supply" in self._touches and not self._plant.get(self._touches["supply"], t_ns):
            target_sccm = 0.0
        if not self.stalled:
            rest = (self.flow_sccm - target_sccm) * math.exp(-passed_s / _LAG_S)
            self.flow_sccm = target_sccm + rest if abs(rest) > 0.002 else target_sccm
        self.total_l += self.flow_sccm / 60e3 * passed_s
        if self.flow_sccm != self._put_sccm:
            self._put_sccm = self.flow_sccm
            self._plant.put(self._touches.get("flow", "n2_flow"), self.flow_sccm, t_ns)

    def stall(self, *, stalled: bool = True) -> None:
        """Jam the valve where it is, or free it."""
        self.stalled = stalled

    def power_cycle(self) -> None:
        """Switch off and on: the setpoint starts at 0, holds end."""
        self._line.clear()
        self._hold = ""
        self.setpoint_sccm = 0.0

    def _obey(self, body: str) -> str:
        word = body.upper()
        if not word:
            return self._frame()
        if word[0] in "?" and word in {"??M*", "??D*", "??G*"}:
            return {"??M*": self._made, "??D*": self._table, "??G*": self._gases}[word]()
        if word == "VE":
            return f"{self.letter}   {_FIRMWARE[self.dialect]}\r"
        head, _, argument = word.partition(" ")
        if self.dialect == "10v" and head in self._words:
            return self._words[head](argument.strip())
        return self._common(word)

    def _common(self, word: str) -> str:
        if match := re.fullmatch(r"S ?(\S+)", word):
            return self._asked(match[1], 1.0)
        if word.isdigit():
            return self._asked(word, _FULL_SCALE_SCCM / _LEGACY_FULL_SCALE)
        if match := re.fullmatch(r"(?:\$\$|G ?)(\d{1,3})", word):
            return self._take_gas(int(match[1]))
        if match := re.fullmatch(r"(?:\$\$)?([RW])(\d{1,3})(?:=(\d{1,9}))?", word):
            return self._register(*match.groups())
        if match := re.fullmatch(r"@[ =]([A-Z])", word):
            self.letter = match[1]
            return self._frame()
        return self._dollar(word.removeprefix("$$"))

    def _dollar(self, word: str) -> str:
        if word in _HOLDS:
            self._hold = _HOLDS[word]
            return self._frame()
        if word == "L":
            self.flags.add("LCK")
        elif word == "U":
            self.flags.discard("LCK")
        elif word == "V":
            self.zero_sccm = 0.0
        elif word == "T":
            self.total_l = 0.0
        elif word != "PC" and not (self.dialect == "5v" and word in {"LS", "LSS", "GS"}):
            return "?\r"
        return self._frame()

    def _asked(self, text: str, scale: float) -> str:
        if not _DECIMAL.fullmatch(text):
            return "?\r"
        if self.source != "A":
            self.setpoint_sccm = min(max(float(text) * scale, 0.0), _FULL_SCALE_SCCM)
        return self._frame()

    def _take_gas(self, number: int) -> str:
        if number >= len(_GASES):
            return "?\r"
        self.gas = number
        return self._frame()

    def _register(self, way: str, number: str, value: str | None) -> str:
        """Read or write a register; only the old dialect has them."""
        at, new = int(number), None if value is None else int(value)
        if self.dialect != "5v" or (way == "W") != (new is not None):
            return "?\r"
        if at == 46:
            if new is not None and new & 0x1FF < len(_GASES):
                self.gas = new & 0x1FF
            return self._says(f"  046 = {self.gas | 0x200}")
        if at == 122:
            if new in _CONTROL_POINTS:
                self._control_point = new
            return self._says(f"  122 = {self._control_point}")
        if at not in self._registers:
            return "?\r"
        if new is not None:
            self._registers[at] = new
        return self._says(f"  {at:03d} = {self._registers[at]}")

    def _loop_setpoint(self, argument: str) -> str:
        if argument and self._asked(argument.split(maxsplit=1)[0], 1.0) == "?\r":
            return "?\r"
        return self._says(f"{self.setpoint_sccm:+07.2f} {self.setpoint_sccm:+07.2f} 12 SCCM")

    def _loop_source(self, argument: str) -> str:
        if argument not in {"", "A", "S", "U"}:
            return "?\r"
        self.source = argument or self.source
        return self._says(self.source)

    def _loop_ramp(self, argument: str) -> str:
        if argument:
            if not re.fullmatch("[01]( [01]){3}", argument):
                return "?\r"
            self._ramp = argument
        return self._says(self._ramp)

    def _gas_select(self, argument: str) -> str:
        number = argument.split(maxsplit=1)[0] if argument else str(self.gas)
        if not number.isdigit() or int(number) >= len(_GASES):
            return "?\r"
        self.gas = int(number)
        short = _GASES[self.gas]
        return self._says(f"{self.gas} {short} {_LONG_GASES.get(self.gas, short)}")

    def _statistic(self, argument: str, *, with_span: bool) -> str:
        number = argument.split(maxsplit=1)[0] if argument else ""
        if not number.isdigit() or int(number) not in _UNITS:
            return "?\r"
        unit = _UNITS[int(number)]
        return self._says(f"{_SPANS[int(number)]:+07.2f} {unit}" if with_span else unit)

    def _says(self, text: str) -> str:
        return f"{self.letter} {text}\r"

    def _frame(self) -> str:
        mbar = self._plant.get(self._touches.get("pressure", "flask.P"), self._at_ns)
        psia = mbar / _PSI_MBAR
        celsius = 25.0
        mass = self.flow_sccm + self.zero_sccm
        volume = mass * (celsius + 273.15) / _STANDARD_K * _STANDARD_PSIA / max(psia, 0.1)
        flags = set(self.flags) | ({"HLD"} if self._hold else set())
        if abs(volume) > 999.99:
            volume = 999.99
            flags.add("VOV")
        signed = "" if self.dialect == "5v" else "+"
        setpoint = f"{self.setpoint_sccm:{signed}0{7 if signed else 6}.2f}"
        total = f" {self.total_l:+09.3f}" if self.totaliser else ""
        ends = "".join(f" {flag}" for flag in sorted(flags))
        return (
            f"{self.letter} {psia:+07.2f} {celsius:+07.2f} {volume:+07.2f} {mass:+07.2f} "
            f"{setpoint}{total} {_GASES[self.gas]:>6}{ends}\r"
        )

    def _made(self) -> str:
        rows = (
            "ALICAT SCIENTIFIC",
            "www.alicat.com",
            "Ph   520-290-6060",
            "info@alicat.com",
            "Model Number MC-100SCCM-D",
            "Serial Number 122161",
            "Date Manufactured 09/24/2015",
            "Date Calibrated   09/24/2015",
            "Calibrated By     PD",
            f"Software Revision {_FIRMWARE[self.dialect].split()[0]}",
        )
        return "".join(f"{self.letter}  M{n:02d} {row}\r" for n, row in enumerate(rows))

    def _table(self) -> str:
        if self.dialect == "5v":
            return self._old_table()
        head = "D00 ID_ NAME______________________ TYPE_______ WIDTH NOTES___________________"
        rows = [
            f"D{n:02d} {code} {name:<26} {kind:<11} {width:>5} {notes}".rstrip()
            for n, (code, name, kind, width, notes) in enumerate(_COLUMNS, start=1)
        ]
        return "".join(f"{self.letter} {row}\r" for row in (head, *rows)) + "\r"

    def _old_table(self) -> str:
        most = f"+{_FULL_SCALE_SCCM:06.1f}"
        rows = [
            ("Unit ID", "char", "A", "Z", "na"),
            ("Pressure", "signed", "+000.00", "+160.00", "PSIA"),
            ("Temperature", "signed", "-010.00", "+050.00", "C"),
            ("Volumetric", "signed", "+0000.0", most, "CCM"),
            ("Mass", "signed", "+0000.0", most, "SCCM"),
            ("SetPoint", "signed", "+0000.0", most, "SCCM"),
            ("Gas", "string", "Air", "D2", "na"),
            ("Error", "string", "na", "ADC", "na"),
            *(("Status", "string", "na", code, "na") for code in _OLD_STATUS),
        ]
        head = f"{self.letter}  D00 NAME_______ TYPE_____ MinVal_  MaxVal_  UNITS__\r"
        return head + "".join(
            f"{self.letter}  D{n:02d} {name:<11} {kind:<8} {low:>8} {high:>8} {unit:>8}\r"
            for n, (name, kind, low, high, unit) in enumerate(rows, start=1)
        )

    def _gases(self) -> str:
        return "".join(f"{self.letter} G{n:02d} {gas:>8}\r" for n, gas in enumerate(_GASES))
