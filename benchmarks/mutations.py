"""Who notices when a safety rule is missing: `python -m benchmarks.mutations`.

Each rule is taken out of runs that meet what it is there for; an invariant must break. Where other
rules watch over the same, the run goes well without it: then those are taken out as well, with the
rule (it must hold) and without it (it must break). What survives both is printed as it is.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks.swarm import Case, Said, Turned
from benchmarks.trial import run_case
from benchmarks.weakening import (
    Weaken,
    action,
    clock_stands,
    contactor,
    dose,
    dose_cap,
    dose_runs_on,
    dose_waits,
    guard,
    heat_first,
    hf_never,
    interlock,
    lost,
    provoked,
    settle,
    thermal,
    unsigned,
    valves,
    without,
)
from labctl.engine.executor import Executor
from labctl.engine.run import Run
from labctl.errors import LabctlError

FLASK = ("too_hot", "two_probes", "recipe_max", "recipe_max_2", *(f"R{n}" for n in range(1, 10)))
SILENCE = ("too_hot", "R1", "lost_heater", "guard", "two_probes", "recipe_max")
WEAKEN: dict[str, Weaken] = {
    **{
        id_: interlock(id_)
        for id_ in (
            "too_hot", "two_probes", "over_p", "n2_or_vac", "no_suck", "rough_first",
            "air_in_trap", "lines_shut", "warm_line", "stirring", "hood", "n2_supply", "hf_two",
            "warm_hot", "n2_lost", "flask_leaks", "recipe_max", "recipe_max_2",
        )
    },
    **{f"R{n}": thermal(f"R{n}") for n in range(1, 10)},
    "lost_heater": lost("heater"),
    "lost_gauges": lost("gauges"),
    "lost_pump_2": dose_waits,
    "guard": guard,
    "dose cap": dose_cap,
    "HF never resumes": hf_never,
    "heat off first": heat_first,
    "contactor": contactor,
    "pumps stop": action("pumps"),
    "dose stops itself": dose_runs_on,
    "vacuum shut": action("vacuum"),
    "held time": clock_stands,
    "intents settled": settle,
    "trips act": without("parts.tripped"),
    "aborts act": without("_ending.begin"),
    "changes are told": without("parts.changed"),
    "stand still first": without("_resumption.still"),
    "ask before going on": without("_resumption.inspect"),
    "left intents settled": without("_resumption.leave"),
    "doses taken over": without("parts.doses.take_over"),
}  # fmt: skip
HEAT = {
    "two_probes": ("probe_creep(over=30s)@heater@look",),
    "recipe_max": ("ssr_stuck_on@heater@up+60s",),
    "recipe_max_2": ("probe_out@heater@up+90s", "probe_slip@heater@up+90s"),
    "R2": ("probe_out@heater@up+90s",),
    "R3": ("stuck_value(value=45)@heater@up",),
    "R4": ("probe_out@heater@up+90s", "tc_short@heater@up+60s"),
    "R5": ("ssr_stuck_on@heater@up+60s",),
    "R6": ("tc_short@heater@look",),
    "R7": ("stale_reading@heater@up+60s",),
    "R8": ("probe_creep(over=30s)@heater@look",),
    "R9": ("ssr_stuck_on@heater@up+60s",),
}
SILENT = ("half_open@bus@up+60s",)


HEAD = """# Safety rules taken out

<!-- written by `python -m benchmarks.mutations --page`; not by hand -->

Each safety rule was taken out of runs that meet what it is there for. Of {mutants}, {killed} are
missed: an [invariant](campaign.md) breaks. Where other rules watch over the same, nothing breaks
unless those are out as well; with them out, the invariant holds with the rule and breaks without
it. "A wrong step" turns a valve, doses or forgets a signature as nothing in labctl does by itself.

Four invariants are read thus. #29: no reason for the safe state may stand in the plant for 75 s
while the run goes on (the rig lets some stand for 60 s before it acts): no inert gas, no draught in
the hood, a warm line above its limit, a silent gauge over a hot flask on vacuum, a silent pump with
part of its dose given. #11: the fine valve may not stand open for 75 s on more than the fine pump
bears. #8: a line that is open on vacuum sucks. #17: what is dosed comes as warm as it is kept.

"""
LEFT = Case(7, ("half_open@pumps@s+1s",), (), (181,), 30)
"""Killed in its dose, and its pump is gone when it is resumed."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """A rule taken out: cases that need it, what a wrong step asks for, and who else watches."""

    rule: str
    cases: tuple[Case, ...]
    doubles: tuple[str, ...] = ()
    provoked: Weaken | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a mutant: the invariants that killed it, and with what else out."""

    rule: str
    killed: tuple[int, ...]
    out: tuple[str, ...]
    case: Case | None

    def __str__(self) -> str:
        if self.case is None:
            return f"| {self.rule} | survives | |"
        by = ", ".join(f"#{number}" for number in self.killed)
        out = "" if not self.out else f", with {', '.join(self.out)} out"
        cuts = [f"killed at row {cut}" for cut in self.case.cuts]
        befell = [f"`{text}`" for text in self.case.faults]
        befell += [f"{row.thing} {row.value:g} at {row.at_s} s" for row in self.case.turned]
        befell += [f"{said.verb} at {said.at_s} s" for said in self.case.said]
        return f"| {self.rule} | {by}{out} | {', '.join(befell + cuts) or 'a wrong step'} |"


def _faults(*specs: str) -> tuple[Case, ...]:
    return tuple(Case(7, (spec,)) for spec in specs)


def _killed_at(*cuts: int, day: str = "sulfide", gap_s: int = 5) -> tuple[Case, ...]:
    return tuple(Case(7, (), (), (cut,), gap_s, day) for cut in cuts)


def _mutants() -> Iterator[Mutant]:
    for rule, specs in HEAT.items():
        yield Mutant(rule, _faults(*specs), tuple(r for r in FLASK if r != rule))
    for rule in ("too_hot", "R1", "lost_heater", "guard"):
        yield Mutant(rule, _faults(*SILENT), tuple(r for r in SILENCE if r != rule))
    yield Mutant("guard", _killed_at(140, gap_s=60))
    yield from _gated()
    yield from _supplies()
    yield from _executed()


def _gated() -> Iterator[Mutant]:
    plain = (Case(7),)
    yield Mutant("n2_or_vac", plain, (), provoked(400, valves(("vac_rough", True))))
    fine = provoked(400, valves(("n2", False), ("vac_fine", True)))
    yield Mutant("rough_first", plain, (), fine)
    yield Mutant("no_suck", plain, ("stirring",), provoked(150, dose("pump_2", 0.25, 2.0)))
    line = provoked(8, valves(("line_2", True)))
    yield Mutant("lines_shut", plain, (), line)
    yield Mutant("stirring", _faults("front_panel(value=0)@stirrer@look+30s"))
    yield Mutant("hf_two", (Case(7, day="hf"),), (), provoked(400, unsigned))


def _supplies() -> Iterator[Mutant]:
    shut = provoked(660, valves(("n2", False)))
    yield Mutant("over_p", (Case(7, day="more HF"),), (), shut)
    blind = (Case(7, ("half_open@gauge@s+230s",), day="hf"),)
    yield Mutant("lost_gauges", blind, ("over_p", "flask_leaks", "air_in_trap"))
    yield Mutant("lost_pump_2", _faults("usb_unplug@pumps@s+10s"))
    stands = _faults("pump_off@aux@degas+110s")
    yield Mutant("air_in_trap", stands, ("flask_leaks",))
    yield Mutant("flask_leaks", stands, ("air_in_trap",))
    yield Mutant("n2_supply", _faults("n2_empty@flask@up"), ("n2_lost",))
    yield Mutant("n2_lost", _faults("n2_empty@flask@up"), ("n2_supply",))
    yield Mutant("warm_line", (Case(7, ("heater_open@warm@prime",), day="zinc"),))
    yield Mutant("warm_hot", _faults("ssr_stuck_on@warm@up"))
    yield Mutant("hood", (Case(7, day="hf", turned=(Turned(680, "hood_flow", 0.0),)),))


def _executed() -> Iterator[Mutant]:
    plain = (Case(7),)
    dosing = (
        Case(7, (), (Said(720, "retry"),)),
        Case(7, (), (Said(720, "freeze"), Said(740, "retry"))),
    )
    yield Mutant("dose cap", dosing)
    yield Mutant("doses taken over", _killed_at(*range(186, 206, 3)))
    yield Mutant("HF never resumes", _killed_at(*range(118, 136, 3), day="hf"))
    aborted = (Case(7, (), (Said(500, "abort"),)), Case(7, (), (Said(720, "abort"),)))
    yield Mutant("heat off first", aborted)
    yield Mutant("contactor", _faults("ssr_stuck_on@heater@up+60s"))
    yield Mutant("pumps stop", aborted[1:], ("dose stops itself",))
    yield Mutant("dose stops itself", aborted[1:], ("pumps stop",))
    yield Mutant("vacuum shut", (Case(7, (), (Said(150, "abort"),)),))
    yield Mutant("held time", (Case(7, (), (Said(900, "freeze"), Said(990, "resume"))),))
    yield Mutant("intents settled", plain)
    yield Mutant("trips act", _faults("ssr_stuck_on@heater@up+60s"))
    yield Mutant("aborts act", aborted)
    yield Mutant("changes are told", _faults("front_panel(value=200)@heater@look"), FLASK)
    yield Mutant("left intents settled", (LEFT,))
    yield Mutant("stand still first", _killed_at(150))
    yield Mutant("ask before going on", _killed_at(150))


MUTANTS: tuple[Mutant, ...] = tuple(_mutants())


def _broken(case: Case, off: tuple[str, ...], wrong: Weaken | None) -> tuple[int, ...]:
    def change(run: Run, executor: Executor) -> None:
        for name in off:
            WEAKEN[name](run, executor)
        if wrong is not None:
            wrong(run, executor)

    ran = run_case(case, change)
    if ran.outcome == "crashed":
        raise LabctlError(f"{case} without {off}: {ran.reason}")
    return tuple(broken.number for broken in ran.broken)


def judge(mutant: Mutant) -> Verdict:
    """Look for an invariant that breaks without the rule, and holds with it."""
    for out in ((), mutant.doubles) if mutant.doubles else ((),):
        for case in mutant.cases:
            killed = _broken(case, (mutant.rule, *out), mutant.provoked)
            if killed:
                held = _broken(case, out, mutant.provoked)
                new = tuple(number for number in killed if number not in held)
                if new:
                    return Verdict(mutant.rule, new, out, case)
    return Verdict(mutant.rule, (), (), None)


def main() -> int:
    """Print the table; exit 1 if a rule survives."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--page", type=Path, default=None, help="where the docs' page is written")
    options = parser.parse_args()
    chosen = [n for n, row in enumerate(MUTANTS) if not options.only or row.rule in options.only]
    survivors = 0
    lines = ["| rule taken out | invariant that broke | what befell |", "| --- | --- | --- |"]
    with ProcessPoolExecutor(options.jobs) as pool:
        for verdict in pool.map(_nth, chosen):
            survivors += not verdict.killed
            lines.append(str(verdict))
            print(verdict, flush=True)
    print(f"\n{len(chosen)} mutants, {survivors} survive")
    if options.page is not None:
        head = HEAD.format(mutants=len(chosen), killed=len(chosen) - survivors)
        options.page.write_text(head + "\n".join(lines) + "\n", encoding="utf-8")
    return 1 if survivors else 0


def _nth(n: int) -> Verdict:
    return judge(MUTANTS[n])


if __name__ == "__main__":
    sys.exit(main())
