"""What befalls one seed of the campaign: some kinds of fault, some commands, times near edges.

Each seed enables a random third of the kinds and draws up to six faults of them (a swarm), anchored
at steps and near their beginnings, and now and then what people do: pause, freeze, park, abort.
Three seeds in ten are killed between two rows of their record, once or twice, and resumed.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchmarks.day import DAYS, Day

MOST = 6
ROWS, GAPS_S = 330, (1, 5, 30, 120)
CRASHES, HF = 0.3, 0.15
"""How many seeds are cut off between two rows, and how many meet the day with HF."""
FAULTS = (
    "byte_flip(count=20,share=0.05)@bus",
    "byte_flip(count=5)@gauge",
    "drop_byte@gauge",
    "drop_byte@heater",
    "drop_reply(count=2)@heater",
    "drop_reply(count=5)@gauge",
    "late_reply(count=3)@heater",
    "late_reply(count=3)@pump_2",
    "split_reply(share=0.5)@bus",
    "merged_reply@heater",
    "echo@bus",
    "garbage_at_open@bus",
    "baud_mismatch@bus",
    "crc_storm(share=0.2)@bus",
    "crc_storm(share=0.9)@bus",
    "usb_unplug@bus",
    "usb_unplug@gauge",
    "usb_unplug@pumps",
    "port_busy@pumps",
    "half_open@bus",
    "half_open@gauge",
    "reboot(away=1s)@heater",
    "reboot@heater",
    "reboot@pump_2",
    "reboot(away=1s)@stirrer",
    "reboot@gauges",
    "stale_reading@heater",
    "stale_reading@gauges",
    "stuck_value(value=45)@heater",
    "stuck_value(value=600)@heater",
    "busy@gauges",
    "front_panel(value=200)@heater",
    "front_panel(value=0)@stirrer",
    "front_panel(value=0)@pump_2",
    "tc_open@heater",
    "tc_short@heater",
    "tc_reversed@heater",
    "tc_short@stirrer",
    "probe_out@heater",
    "probe_slip@heater",
    "probe_creep(over=30s)@heater",
    "ssr_stuck_on@heater",
    "heater_open@heater",
    "mantle_unplugged@flask50",
    "wrong_mantle(power=0.1)@flask",
    "wrong_mantle(power=1.5)@heater",
    "leak_step(rate=1)@flask",
    "gauge_off@gauges",
    "gauge_out_of_range(channel=2)@gauges",
    "valve_stuck_closed(valve=vac_rough)@valves",
    "valve_stuck_closed(valve=line_2)@valves",
    "valve_stuck_open(valve=vac_fine)@valves",
    "pump_off@aux",
    "pump_off@rough",
    "trap_warm@flask",
    "n2_empty@flask",
    "pump_stall@pump_2",
    "occlusion@pump_2",
    "air_bubble@pump_2",
    "syringe_empty@pump_2",
    "wrong_syringe@pump_2",
    "wrong_syringe(gives=1.5)@pump_2",
    "lamp_off@uvvis",
    "saturation@uvvis",
    "shutter_stuck@aux",
    "bubble_in_beam@uvvis",
    "turbidity@uvvis",
)
"""Every kind of fault that the short day's rig can meet, with a target and its worst values."""

VERBS = ("pause", "freeze", "park", "resume", "resume", "retry", "skip", "extend", "abort", "note")


@dataclass(frozen=True, slots=True)
class Said:
    """A command at a time in s since the run began."""

    at_s: int
    verb: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Turned:
    """A thing of the rig that is put to a value, at a time in s since the run began."""

    at_s: int
    thing: str
    value: float


@dataclass(frozen=True, slots=True)
class Case:
    """One seed: the noise's seed, the faults as a person writes them, the commands.

    `cuts` are the rows of the record before which the run is killed, counted in each life; it is
    resumed `gap_s` later. `day` is one of `benchmarks.day.DAYS`. What is `turned` no seed draws.
    """

    seed: int
    faults: tuple[str, ...] = ()
    said: tuple[Said, ...] = ()
    cuts: tuple[int, ...] = ()
    gap_s: int = 5
    day: str = "sulfide"
    turned: tuple[Turned, ...] = ()

    def without(self, n: int) -> Case:
        """Leave out the n-th of all that befalls."""
        if n < len(self.faults):
            return replace(self, faults=self.faults[:n] + self.faults[n + 1 :])
        n -= len(self.faults)
        if n < len(self.said):
            return replace(self, said=self.said[:n] + self.said[n + 1 :])
        n -= len(self.said)
        return replace(self, cuts=self.cuts[:n] + self.cuts[n + 1 :])

    @property
    def size(self) -> int:
        """How many things befall."""
        return len(self.faults) + len(self.said) + len(self.cuts)


def kind_of(spec: str) -> str:
    """Return the name of a fault that is written out.

    >>> kind_of("late_reply(count=3)@heater@up+2s")
    'late_reply'
    """
    return spec.partition("@")[0].partition("(")[0]


def draw(seed: int, faults: Sequence[str] = FAULTS) -> Case:
    """Draw what befalls one seed."""
    rng = random.Random(f"swarm {seed}")  # noqa: S311 - seeded, not secret
    kinds = sorted({kind_of(spec) for spec in faults})
    enabled = set(rng.sample(kinds, max(1, len(kinds) // 3)))
    able = [spec for spec in faults if kind_of(spec) in enabled]
    day = DAYS["hf" if rng.random() < HF else "sulfide"]
    chosen = [_placed(rng.choice(able), day, rng) for _ in range(rng.randint(0, MOST))]
    said = [_command(rng) for _ in range(rng.choice((0, 0, 0, 1, 2, 3)))]
    crashes = rng.choice((1, 1, 2)) if rng.random() < CRASHES else 0
    cuts = tuple(rng.randrange(ROWS) for _ in range(crashes))
    said.sort(key=lambda row: row.at_s)
    return Case(seed, tuple(chosen), tuple(said), cuts, rng.choice(GAPS_S), day.name)


def _placed(spec: str, day: Day, rng: random.Random) -> str:
    delay_s = rng.choice((0, 0, 1, 2, rng.randint(0, 60), rng.randint(0, 300)))
    lasts = rng.choice(("", "", f"~{rng.randint(1, 10)}s", f"~{rng.randint(10, 240)}s"))
    spec = spec.replace("pump_2", day.pump)
    return f"{spec}@{rng.choice(day.anchors)}+{delay_s}s{lasts}"


def _command(rng: random.Random) -> Said:
    verb = rng.choice(VERBS)
    text = {"extend": "30 s", "note": "looks fine"}.get(verb, "")
    return Said(rng.randint(1, 1500), verb, text)


def save(case: Case, file: Path, why: Sequence[str]) -> None:
    """Write a case that failed into the corpus."""
    words = {**asdict(case), "why": list(why)}
    file.write_text(json.dumps(words, indent=1) + "\n", encoding="utf-8")


def load(file: Path) -> Case:
    """Read a case back from the corpus."""
    row = json.loads(file.read_text(encoding="utf-8"))
    return Case(
        row["seed"],
        tuple(row["faults"]),
        tuple(Said(**words) for words in row["said"]),
        tuple(row.get("cuts", ())),
        row.get("gap_s", 5),
        row.get("day", "sulfide"),
        tuple(Turned(**words) for words in row.get("turned", ())),
    )
