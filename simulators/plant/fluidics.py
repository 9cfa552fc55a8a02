"""Liquids: a syringe, its line and what of a dose really comes out of the tip.

Volumes in mL. The pump's counter sees `turned_ml`; the plunger moves `scale` times as much; of that
the line keeps its dead volume while it is dry, the tip keeps one hanging drop, and an air bubble
gives its share back late. What left the syringe is at every moment what arrived in flask and waste,
plus line, drop, bubble and what was wiped off the tip.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from labctl.errors import UsageError

_NOTHING_ML = 1e-9


class Tip(StrEnum):
    """Where the end of the line is."""

    FLASK = "flask"
    WASTE = "waste"


@dataclass(frozen=True, slots=True)
class SyringeLineParameters:
    """One syringe and line: volumes in mL, `scale` = true over commanded volume.

    `hold_up_ml` is the drop that hangs at the tip, `backlash_ml` what the screw turns for nothing
    after the syringe was drawn, `bubble_s` the time constant of an air bubble (0: no bubble).
    """

    capacity_ml: float
    dead_ml: float
    hold_up_ml: float = 0.005
    scale: float = 1.0
    backlash_ml: float = 0.0
    bubble_s: float = 0.0


class SyringeLine:
    """One syringe with its line; `move` turns the pump, `settle` lets a bubble give back.

    Inputs: `valve_open` (the line's valve), `jammed` (the screw), `occluded` (the motor loses steps
    and nobody notices), `bubble_s`. Results: `syringe_ml`, `line_ml`, `drop_ml`, `bubble_ml` (now
    held), `stalled` and `empty` (of the last move), and the totals `turned_ml`, `from_syringe_ml`,
    `delivered_ml` (into the flask), `wasted_ml`, `wiped_ml`.
    """

    def __init__(self, parameters: SyringeLineParameters) -> None:
        self.parameters = parameters
        self.tip = Tip.FLASK
        self.valve_open = True
        self.jammed = self.occluded = False
        self.bubble_s = parameters.bubble_s
        self.syringe_ml = self.line_ml = self.drop_ml = self.bubble_ml = 0.0
        self.stalled = False
        self.turned_ml = self.from_syringe_ml = 0.0
        self.delivered_ml = self.wasted_ml = self.wiped_ml = 0.0
        self._slack_ml = 0.0

    @property
    def empty(self) -> bool:
        """Whether the plunger is at its end."""
        return self.syringe_ml <= _NOTHING_ML

    @property
    def primed(self) -> bool:
        """Whether the line is full of liquid."""
        return self.line_ml >= self.parameters.dead_ml - _NOTHING_ML

    def draw(self, volume_ml: float) -> None:
        """Draw liquid into the syringe, by hand and off the line.

        Raises:
            UsageError: less than nothing, or more than the syringe holds.
        """
        room_ml = self.parameters.capacity_ml - self.syringe_ml
        if not 0.0 <= volume_ml <= room_ml:
            message = (
                f"asked to draw {volume_ml} mL; the syringe has room for 0 to {room_ml:.4g} mL"
            )
            raise UsageError(message)
        self.syringe_ml += volume_ml
        self._slack_ml = self.parameters.backlash_ml

    def place_tip(self, tip: Tip) -> None:
        """Put the end of the line into another vessel; the hanging drop is wiped off."""
        if tip is not self.tip:
            self.wiped_ml += self.drop_ml
            self.drop_ml = 0.0
            self.tip = tip

    def flush(self) -> float:
        """Empty syringe, line and drop into the waste by other means; returns the volume, mL."""
        volume_ml = self.syringe_ml + self.line_ml + self.drop_ml + self.bubble_ml
        self.from_syringe_ml += self.syringe_ml
        self.wasted_ml += volume_ml
        self.syringe_ml = self.line_ml = self.drop_ml = self.bubble_ml = 0.0
        return volume_ml

    def move(self, volume_ml: float) -> float:
        """Turn the pump by `volume_ml` on its own scale; what arrived where the tip is, mL.

        Sets `stalled` when the pump cannot turn as asked: valve shut, jammed, or syringe empty. An
        occluded pump turns and counts, and moves nothing.

        Raises:
            UsageError: less than nothing; a pump that draws is filled with `draw`.
        """
        if volume_ml < 0.0:
            message = f"asked to dispense {volume_ml} mL; expected 0 mL or more"
            raise UsageError(message)
        self.stalled = not self.valve_open or self.jammed
        if self.stalled:
            return 0.0
        if self.occluded:
            self.turned_ml += volume_ml
            return 0.0
        return self._arrive(self._through_bubble(self._push(volume_ml)))

    def settle(self, dt_s: float) -> float:
        """Let the bubble give back for `dt_s` seconds; what arrived where the tip is, mL."""
        if self.bubble_ml <= 0.0 or not self.valve_open:
            return 0.0
        back_ml = self.bubble_ml
        if self.bubble_s > 0.0:
            back_ml *= -math.expm1(-dt_s / self.bubble_s)
        self.bubble_ml -= back_ml
        return self._arrive(back_ml)

    def _push(self, volume_ml: float) -> float:
        """Turn the screw against slack and plunger; the true volume that left the syringe."""
        slack_ml = min(self._slack_ml, volume_ml)
        self._slack_ml -= slack_ml
        wanted_ml = (volume_ml - slack_ml) * self.parameters.scale
        pushed_ml = min(wanted_ml, self.syringe_ml)
        self.stalled = wanted_ml - pushed_ml > _NOTHING_ML
        self.turned_ml += slack_ml + pushed_ml / self.parameters.scale
        self.syringe_ml -= pushed_ml
        self.from_syringe_ml += pushed_ml
        return pushed_ml

    def _through_bubble(self, volume_ml: float) -> float:
        """Let a bubble take the volume in; without one it goes straight on."""
        if self.bubble_s <= 0.0:
            return volume_ml
        self.bubble_ml += volume_ml
        return 0.0

    def _arrive(self, volume_ml: float) -> float:
        """Fill line and drop first; the rest reaches the vessel under the tip."""
        into_line_ml = min(volume_ml, self.parameters.dead_ml - self.line_ml)
        self.line_ml += into_line_ml
        volume_ml -= into_line_ml
        into_drop_ml = min(volume_ml, self.parameters.hold_up_ml - self.drop_ml)
        self.drop_ml += into_drop_ml
        volume_ml -= into_drop_ml
        if self.tip is Tip.FLASK:
            self.delivered_ml += volume_ml
        else:
            self.wasted_ml += volume_ml
        return volume_ml
