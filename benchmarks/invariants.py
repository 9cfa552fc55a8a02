"""What must be so whatever befalls: the 38 invariants, and which of them no trial can judge.

The numbers are those of the campaign's page. Judges (`oracle`, `oracle_wire`, `oracle_record`) put
what they find broken into `Findings`, the first time only.
"""

from __future__ import annotations

from dataclasses import dataclass, field

NS = 1_000_000_000

TEXTS = {
    1: "heater power only while the flask's temperature was good within 5 s",
    2: "heater power only while the guard hears heartbeats",
    3: "after a trip or abort: heater-off on the wire within 0.5 s, no power within 3 s",
    4: "the flask is never hotter than the recipe's highest temperature plus 15 K",
    5: "the mantle is never hotter than it may be",
    6: "no setpoint goes out above the recipe's highest or outside the rig's limits",
    7: "after the end nothing heats, and no setpoint rises",
    8: "no dose into a flask below ambient minus 30 mbar",
    9: "no vacuum unstaged over a volatile that would boil",
    10: "nitrogen and vacuum are never open together",
    11: "the fine pump never meets more than its inlet bears",
    12: "the flask is never above ambient plus 100 mbar",
    13: "a hot flask that was backfilled stays at ambient; no pump stands behind an open valve",
    14: "no dose is more than planned, over all that was given of it, over all crashes",
    15: "a dose that is unknown goes on only after a person judged it",
    16: "HF only in its step, at its temperature, signed for by two, never by itself after a crash",
    17: "no injection unless the bar turns and the flask is in its window; none skipped",
    18: "no dose faster than declared, and a pump stands within a second of a trip",
    19: "no bath and no water at more than 150 °C",
    20: "no stage advances on a peak that was not seen",
    21: "saturation is never declared before 95 % of the plateau",
    22: "every dose has an intent before its bytes; every intent ends done, refused or unknown",
    23: "what was acknowledged before a crash is in the record after it",
    24: "the record opens, is whole, and holds the end",
    25: "the same seed gives the same record",
    26: "a jump of the wall clock changes no interval and no order",
    27: "a broker or dashboard that is down, slow or hostile changes no byte on a wire",
    28: "a full disk holds the run and doses nothing new",
    29: "the safe state is reached within 60 s of the reason for it, and nothing hangs",
    30: "an abort is heard within 100 ms",
    31: "time in which the run was held is no reaction time",
    32: "no two commands are on one half-duplex line at once",
    33: "a pump is never started again before its counter was read",
    34: "a reboot of the heater, or its setpoint turned by hand, is noticed",
    35: "an alarm has a time and a cause, and a latched one was acknowledged before it went",
    36: "at most one client controls a run",
    37: "after a crash nothing is actuated but to stand still, until a person has agreed",
    38: "tasks, descriptors and memory stay flat",
}

ELSEWHERE = {
    19: "no bath and no water on the bundled rig, and no day above 150 °C; `check` refuses it",
    21: "`benchmarks/saturation.py`; the days of the campaign wait for no saturation",
    27: "broker and dashboard are not built",
    28: "a twin's record is never full; `tests/labctl/record` fills a disk under a real one",
    35: "alarms are judged, but no rule of the bundled rig latches; `tests/labctl/engine` does",
    36: "no holder of control is built: who has the token may command",
    38: "told by the campaign for each of its workers (descriptors and memory), not per seed",
}
"""Invariants that no trial judges, with the reason or the place that does."""


@dataclass(frozen=True, slots=True)
class Broken:
    """An invariant that did not hold: its number, when in s, and what was seen."""

    number: int
    at_s: float
    seen: str

    def __str__(self) -> str:
        return f"#{self.number} at {self.at_s:.0f} s: {self.seen} ({TEXTS[self.number]})"


@dataclass
class Findings:
    """What was found broken, each invariant once."""

    broken: dict[int, Broken] = field(default_factory=dict)

    def add(self, number: int, t_ns: int, seen: str) -> None:
        """Put in what was seen at a time in ns."""
        self.broken.setdefault(number, Broken(number, t_ns / NS, seen))

    def all(self) -> list[Broken]:
        """Return everything that was broken, by number."""
        return [self.broken[number] for number in sorted(self.broken)]
