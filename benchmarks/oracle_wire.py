"""Judges the bytes that went out, by an own reading of the three protocols that can do harm.

Heater and relays: Modbus RTU (Eurotherm 3216 manual HA028651: 2 is the target setpoint in 0.1 °C,
273 is manual mode, 3 the output; function 6 writes one register, 5 and 15 write coils). Pumps: New
Era basic and safe mode, `nRUN`, `nSTP`, `nDIS`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from benchmarks.invariants import NS, Findings
from benchmarks.oracle import HIGHEST_C

SETPOINT, OUTPUT, MODE = 2, 3, 273
HEATER, RELAYS = 1, frozenset({10, 11})
OFF_WITHIN_NS = NS // 2
SILENT_NS = 5_000_000
PROBE_K = 1.0
"""What the heater's own scale is off by, at most, by its calibration."""
PUMP = re.compile(rb"(\d\d?)(RUN|STP|DIS)")
LINE_FAULTS = ("@bus", "@heater", "@warm", "@valves", "@aux")


class Wire:
    """Follows one run's ports over all its lives."""

    def __init__(self, findings: Findings, faults: Callable[[], list[str]]) -> None:
        self.findings = findings
        self.runs: list[int] = []
        self._faults = faults
        self._asked: dict[str, int] = {}
        self._setpoint_c = 0.0
        self._ended_ns: int | None = None
        self._off_ns: int | None = None
        self._started: set[bytes] = set()
        self._still = False
        self._stood: set[str] = set()

    def begin(self, *, resumed: bool) -> None:
        """Hear that a life of the run begins; one that is resumed must stand still."""
        self._ended_ns = self._off_ns = None
        self._still = resumed
        self._stood.clear()
        self._started.clear()
        self._asked.clear()

    def agreed(self, t_ns: int) -> None:
        """Hear that a person let the run go on; by then heat and pumps were told to stand."""
        self._still = False
        if self._stood != {"heater", "pumps"}:
            told = " and ".join(sorted(self._stood)) or "nothing"
            self.findings.add(37, t_ns, f"{told} was told to stand still before a person agreed")

    def ended(self, t_ns: int) -> None:
        """Hear that the end began; the safe state is reached without asking anybody."""
        self._still = False
        if self._ended_ns is None:
            self._ended_ns = t_ns

    def close(self, t_ns: int) -> None:
        """Judge at the end of the last life."""
        ended_ns, off_ns = self._ended_ns, self._off_ns
        if ended_ns is None or any(f in text for text in self._faults() for f in LINE_FAULTS):
            return
        if t_ns - ended_ns > OFF_WITHIN_NS and (
            off_ns is None or off_ns - ended_ns > OFF_WITHIN_NS
        ):
            late = "never" if off_ns is None else f"{(off_ns - ended_ns) / NS:.2f} s later"
            self.findings.add(3, ended_ns, f"heater off on the wire {late}")

    def saw(self, port: str, t_ns: int, way: str, data: bytes) -> None:
        """Take what went out (`>`) or came in (`<`) on a port."""
        if port == "bus":
            self._on_bus(t_ns, way, data)
        elif port == "pumps" and way == ">":
            self._to_pumps(t_ns, data)

    def _on_bus(self, t_ns: int, way: str, data: bytes) -> None:
        if way != ">":
            self._asked.pop("bus", None)
            return
        asked_ns = self._asked.get("bus")
        if asked_ns is not None and t_ns - asked_ns < SILENT_NS:
            self.findings.add(32, t_ns, f"{data.hex()} while a reply was awaited")
        self._asked["bus"] = t_ns
        if len(data) < 6:
            return
        unit, function = data[0], data[1]
        if unit == HEATER and function == 6:
            register, value = int.from_bytes(data[2:4]), int.from_bytes(data[4:6])
            self._to_heater(t_ns, register, value)
        elif unit in RELAYS and function in {5, 15} and self._still and any(data[4:6]):
            self.findings.add(37, t_ns, f"relay written before a person agreed: {data.hex()}")

    def _to_heater(self, t_ns: int, register: int, value: int) -> None:
        if (register, value) in {(MODE, 1), (OUTPUT, 0)}:
            self._stood.add("heater")
            if self._ended_ns is not None:
                self._off_ns = self._off_ns or t_ns
        if register != SETPOINT:
            return
        asked_c = value / 10
        if asked_c > HIGHEST_C + PROBE_K:
            self.findings.add(6, t_ns, f"setpoint {asked_c:g} °C on the wire")
        if self._ended_ns is not None and asked_c > self._setpoint_c:
            self.findings.add(7, t_ns, f"setpoint raised to {asked_c:g} °C after the end")
        if self._still and asked_c > self._setpoint_c:
            self.findings.add(37, t_ns, f"setpoint {asked_c:g} °C before a person agreed")
        self._setpoint_c = asked_c

    def _to_pumps(self, t_ns: int, data: bytes) -> None:
        found = PUMP.search(data)
        if found is None:
            return
        address, verb = found.groups()
        if verb == b"STP":
            self._stood.add("pumps")
        if verb == b"DIS":
            self._started.discard(address)
        elif verb == b"RUN":
            self.runs.append(t_ns)
            if address in self._started:
                self.findings.add(33, t_ns, "RUN again before the counter was read")
            if self._still:
                self.findings.add(37, t_ns, "RUN before a person agreed")
            self._started.add(address)
