"""The loaded syringes: what a pump's turn pushes through its line, and where it arrives.

Volumes in mL on the pump's own scale where said, true ones elsewhere; temperatures in °C.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from labctl.chemistry.constants import ROOM_C
from labctl.chemistry.substances import find
from labctl.errors import UnknownNameError
from labctl.twin import TwinSpec, TwinSyringe
from simulators.plant.contents import Stock
from simulators.plant.fluidics import SyringeLine, SyringeLineParameters, Tip
from simulators.world_flask import Flask

_NOTHING_ML: Final = 1e-12


@dataclass(slots=True)
class _Loaded:
    stock: Stock
    line: SyringeLine
    valve: str
    warm: bool
    on_its_way_ml: float = 0.0


class Syringes:
    """All syringes of the rig, by pump; what they give is mixed into the flask by `pour`.

    `thing` reads what is turned by others: the valves of the lines, where the tips are
    (`tip.PUMP`: 1 through the septum, 0 over the waste), the temperature of the warm line.
    """

    def __init__(
        self, spec: TwinSpec, stocks: Mapping[str, Stock], thing: Callable[[str], float]
    ) -> None:
        self._thing = thing
        self._loaded: dict[str, _Loaded] = {}
        sizes = {device.name: device.settings.syringe_ml for device in spec.devices}
        for syringe in sorted(spec.syringes, key=lambda row: row.device):
            if syringe.reagent not in stocks:
                raise UnknownNameError("reagent", syringe.reagent, stocks)
            self._loaded[syringe.device] = _Loaded(
                stocks[syringe.reagent],
                _line_of(syringe, sizes.get(syringe.device, 0.0)),
                "valve." + syringe.valve.removeprefix("valve.") if syringe.valve else "",
                bool(syringe.warmed_by),
            )

    def move(self, pump: str, volume_ml: float) -> float:
        """Turn a pump; return what it turned in mL of its own scale, 0 if the line is shut.

        Pulling (a negative volume) takes back what is in the line, and stops where there is none.

        Raises:
            UnknownNameError: no syringe is in that pump.
        """
        if pump not in self._loaded:
            raise UnknownNameError("syringe", pump, self._loaded)
        loaded = self._loaded[pump]
        line = loaded.line
        line.valve_open = not loaded.valve or self._thing(loaded.valve) > 0.0
        line.place_tip(Tip.FLASK if self._thing(f"tip.{pump}") > 0.0 else Tip.WASTE)
        if volume_ml < 0.0:
            return -_pull(line, -volume_ml)
        before_ml = line.turned_ml
        arrived_ml = line.move(volume_ml)
        if line.tip is Tip.FLASK:
            loaded.on_its_way_ml += arrived_ml
        return line.turned_ml - before_ml

    def has(self, pump: str) -> bool:
        """Say whether a pump has a syringe."""
        return pump in self._loaded

    def line(self, pump: str) -> SyringeLine:
        """Return a pump's syringe and line, to put a fault into."""
        return self._loaded[pump].line

    def flush(self, pump: str) -> None:
        """Empty a pump's syringe and line into the waste, by hand; without a syringe, nothing."""
        if pump in self._loaded:
            self._loaded[pump].line.flush()

    def settle(self, pump: str, dt_s: float) -> None:
        """Let an air bubble in a line give back for `dt_s` seconds."""
        loaded = self._loaded[pump]
        arrived_ml = loaded.line.settle(dt_s)
        if loaded.line.tip is Tip.FLASK:
            loaded.on_its_way_ml += arrived_ml

    def pour(self, flask: Flask) -> None:
        """Mix what has dripped since the last time into the flask."""
        for loaded in self._loaded.values():
            if loaded.on_its_way_ml > _NOTHING_ML:
                temperature_c = self._thing("warm.T") if loaded.warm else ROOM_C
                flask.pour(loaded.stock, loaded.on_its_way_ml, temperature_c)
                loaded.on_its_way_ml = 0.0

    def drawn(self) -> dict[str, float]:
        """What each pump's syringe holds now, by pump, in mL of its own scale."""
        lines = {pump: loaded.line for pump, loaded in self._loaded.items()}
        return {pump: line.syringe_ml / line.parameters.scale for pump, line in lines.items()}

    def wasted_g(self, pump: str) -> float:
        """What a pump has pushed elsewhere than into the flask, in g.

        Raises:
            UnknownNameError: no syringe is in that pump.
        """
        if pump not in self._loaded:
            raise UnknownNameError("loaded pump", pump, self._loaded)
        loaded = self._loaded[pump]
        per_ml_g = sum(
            mmol * find(name).molar_mass_g_mol / 1e3 for name, mmol in loaded.stock.per_ml.items()
        )
        return loaded.line.wasted_ml * per_ml_g

    def truth(self) -> dict[str, float]:
        """What is left and what was given, by pump, true mL."""
        return {
            f"{pump}.{name}": value
            for pump, loaded in self._loaded.items()
            for name, value in (
                ("left_ml", loaded.line.syringe_ml),
                ("delivered_ml", loaded.line.delivered_ml),
                ("wasted_ml", loaded.line.wasted_ml),
            )
        }


def _line_of(syringe: TwinSyringe, capacity_ml: float) -> SyringeLine:
    line = SyringeLine(
        SyringeLineParameters(
            capacity_ml=max(capacity_ml, syringe.drawn_ml),
            dead_ml=syringe.dead_ml,
            hold_up_ml=syringe.hold_up_ml,
            scale=syringe.delivered_fraction,
        )
    )
    line.draw(syringe.drawn_ml)
    line.place_tip(Tip.WASTE)
    return line


def _pull(line: SyringeLine, volume_ml: float) -> float:
    """Suck liquid back out of the line; return the mL on the pump's scale."""
    if not line.valve_open:
        return 0.0
    scale = line.parameters.scale
    room_ml = line.parameters.capacity_ml - line.syringe_ml
    back_ml = min(volume_ml * scale, line.line_ml, room_ml)
    line.line_ml -= back_ml
    line.syringe_ml += back_ml
    line.from_syringe_ml -= back_ml
    return back_ml / scale
