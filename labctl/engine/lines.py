"""Lines between syringes and needles: how far each is wet, and what leaves its tip.

A line is wet only by what was pushed through it. A dry one keeps its dead volume back, bit by bit,
and the tip one hanging drop, which is wiped off when the needle is moved.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from labctl.bench import Loaded
from labctl.engine.run import Run
from labctl.readings import Scalar
from labctl.units import show

CHANGED = "line"
"""The event that says how a line stands since somebody put a hand to it."""


@dataclass(slots=True)
class Line:
    """One line: its dead volume and drop, and how much of each is filled; true mL."""

    dead_ml: float
    hold_up_ml: float
    wet_ml: float = 0.0
    drop_ml: float = 0.0
    in_flask: bool = False

    def push(self, volume_ml: float) -> float:
        """Push a volume through; return what left the tip.

        >>> line = Line(dead_ml=0.1, hold_up_ml=0.0)
        >>> [round(line.push(volume_ml), 3) for volume_ml in (0.06, 0.06, 0.06)]
        [0.0, 0.02, 0.06]
        """
        wets_ml = min(volume_ml, self.dead_ml - self.wet_ml)
        self.wet_ml += wets_ml
        hangs_ml = min(volume_ml - wets_ml, self.hold_up_ml - self.drop_ml)
        self.drop_ml += hangs_ml
        return volume_ml - wets_ml - hangs_ml

    def place(self, *, in_flask: bool) -> None:
        """Put the needle into the flask or out of it; what hangs at it stays behind."""
        if in_flask is not self.in_flask:
            self.drop_ml, self.in_flask = 0.0, in_flask

    def empty(self) -> None:
        """Take all liquid out, as a flush does."""
        self.wet_ml = self.drop_ml = 0.0

    def state(self) -> dict[str, float]:
        """Return what is in it, by name with unit, as the record has it."""
        return {"line_ml": self.wet_ml, "drop_ml": self.drop_ml}


class Lines:
    """All lines of a run, by pump."""

    def __init__(self, run: Run) -> None:
        self._run = run
        loads = run.plan.scene.loads.values()
        self._lines = {load.pump: Line(load.dead_ml, load.hold_up_ml) for load in loads}

    def of(self, load: Loaded) -> Line:
        """Return the line of a reagent."""
        return self._lines[load.pump]

    def restore(self, pump: str, known: Mapping[str, float]) -> None:
        """Take a line over as the record has it."""
        line = self._lines.get(pump)
        if line is not None:
            line.wet_ml = min(known.get("line_ml", 0.0), line.dead_ml)
            line.drop_ml = min(known.get("drop_ml", 0.0), line.hold_up_ml)
            line.in_flask = known.get("in_flask", 0.0) > 0.0

    def handled(self, subject: str, amount: float | None) -> None:
        """Follow what a person did to a line: `tip.PUMP` (1: into the flask), or `flush.PUMP`."""
        what, _, pump = subject.partition(".")
        line = self._lines.get(pump)
        if line is None or what not in {"tip", "flush"}:
            return
        if what == "flush":
            line.empty()
        else:
            line.place(in_flask=bool(amount))
        where = "in the flask" if line.in_flask else "outside the flask"
        wet, dead = show(line.wet_ml, "volume"), show(line.dead_ml, "volume")
        data: dict[str, Scalar] = {"pump": pump, **line.state(), "in_flask": float(line.in_flask)}
        self._run.event(CHANGED, f"needle of {pump} {where}, {wet} of {dead} wet", data)
