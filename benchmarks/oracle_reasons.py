"""Judges how long the plant gives a reason for the safe state while the run goes on as if not.

Invariant 29 bounds the time from a fault to the safe state, 11 what the fine pump may meet. What is
a reason is read off the plant's truth, never off the interlock that is to see it. The rig lets
some of them stand for 60 s before it calls them one; the bound lies above.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from benchmarks.invariants import Findings
from labctl.engine.machine import FINAL, State
from labctl.engine.run import Run

STANDS_S = 75
WARM_LINE_C = 107.0
INLET_MBAR = 20.0
HOT_C = 60.0
BLIND = ("stale_reading@gauges", "stuck_value", "gauge", "half_open@gauge", "usb_unplug@gauge")
"""Faults of a gauge that no rule sees the pressure through; one that is silent is judged itself."""
SILENT_GAUGE = ("half_open@gauge@", "usb_unplug@gauge@")
SILENT_PUMPS = ("half_open@pumps@", "usb_unplug@pumps@")
GOES_ON = frozenset({State.STARTING, State.RUNNING})
ENDS = FINAL | {State.ABORTING, State.STOPPING}

Reason = tuple[int, str]


class Reasons:
    """Counts for each reason the seconds in which it stood; `standing` says which faults do."""

    def __init__(self, findings: Findings, standing: Callable[[], list[str]]) -> None:
        self._findings = findings
        self._standing = standing
        self._for_s: dict[Reason, int] = {}

    def forget(self) -> None:
        """Begin anew: nobody conducts the run, or a new life of it begins."""
        self._for_s.clear()

    def look(self, t_ns: int, run: Run, truth: Mapping[str, float]) -> None:
        """Judge the present second."""
        now = dict.fromkeys(self._now(run, truth), 0)
        self._for_s = {reason: self._for_s.get(reason, 0) + 1 for reason in now}
        for (number, words), for_s in self._for_s.items():
            if for_s > STANDS_S:
                self._findings.add(number, t_ns, f"{words} for {for_s} s, and the run goes on")

    def _now(self, run: Run, truth: Mapping[str, float]) -> Iterator[Reason]:
        state = run.machine.state
        if state in ENDS:
            return
        if truth["warm_c"] > WARM_LINE_C:
            yield 29, "the warm line is too hot"
        if state in GOES_ON:
            yield from self._supplies(run, truth)
            yield from self._silent(run, truth)
            yield from self._pump(run, truth)

    def _supplies(self, run: Run, truth: Mapping[str, float]) -> Iterator[Reason]:
        if truth["n2_pressure"] == 0.0:
            yield 29, "there is no inert gas"
        if truth["hood_flow"] == 0.0 and run.step_id == "s":
            yield 29, "the hood draws nothing"

    def _silent(self, run: Run, truth: Mapping[str, float]) -> Iterator[Reason]:
        faults = self._standing()
        if truth["part_given"] and run.step_id == "s" and _any(faults, SILENT_PUMPS):
            yield 29, "part of a dose is given and its pump is silent"
        pumped = any(run.commanded.get(valve) for valve in ("vac_rough", "vac_fine"))
        if pumped and truth["flask_c"] > HOT_C and _any(faults, SILENT_GAUGE):
            yield 29, "a hot flask is pumped on and its gauge is silent"

    def _pump(self, run: Run, truth: Mapping[str, float]) -> Iterator[Reason]:
        open_ = run.commanded.get("vac_fine")
        if open_ and truth["flask_mbar"] > INLET_MBAR and not _any(self._standing(), BLIND):
            yield 11, "the fine pump's valve is open on more than the pump bears"


def _any(faults: list[str], starts: tuple[str, ...]) -> bool:
    return any(text.startswith(starts) for text in faults)
