"""The dots in the flask: poured in to meet what reacts with them, or grown there from a phosphine.

Amounts in mmol, dots in nmol, volumes in mL at 25 °C, temperatures in °C.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from labctl.chemistry.amounts import water_per_acid
from labctl.chemistry.constants import ROOM_C
from labctl.chemistry.substances import SUBSTANCES
from simulators.plant.growth import CoreGrowth
from simulators.plant.kinetics import Shell
from simulators.plant.reaction import Reaction

# What the reaction counts in mmol for the whole flask, so that an aliquot takes its share.
_EXTENSIVE: Final = (
    "monomer_mmol", "zinc_mmol", "chalcogenide_mmol", "zinc_fluoride_mmol", "free_oleic_acid_mmol",
)  # fmt: skip
_SHELLS: Final[dict[str, Shell]] = {"TOP sulfide": "ZnS", "TOP selenide": "ZnSe"}
_REACTS: Final = ("zinc oleate", *_SHELLS, "HF", "water")
# The pulse law of the acid holds for a whole dose, not for its drops: a dose acts when it is over.
_DOSE_OVER_S: Final = 5.0
_WATER_PER_HF: Final = water_per_acid(SUBSTANCES["HF"], 0.48)
_INDIUM: Final = ("indium oleate", "indium stearate")
_PHOSPHINE: Final = "P(TMS)3"
_BARE_QY: Final = 0.005  # of cores as grown, oxide and dangling bonds and all


@dataclass(frozen=True, slots=True)
class Looks:
    """How the dots look to light at one temperature; `peak_nm` is the first exciton's centre."""

    nc_nmol: float
    diameter_nm: float
    peak_nm: float
    qy: float
    zinc_fluoride_mmol: float = 0.0


class Dots:
    """A reaction that begins with the dots; what was poured in before is there from its start.

    Cores that grow in the flask take no part in it: a shell in the same pot is not modelled.
    """

    def __init__(self) -> None:
        self.reaction: Reaction | None = None
        self.growth = CoreGrowth()
        self._indium = False
        self._early_mmol = dict.fromkeys(_REACTS, 0.0)
        self._acid_mmol = 0.0
        self._since_acid_s = 0.0

    def charge(self, nc_nmol: float, diameter_nm: float) -> None:
        """Dots come in; more of them count as the same ones."""
        if self.reaction is not None:
            self._rebuild(self.reaction, nc_nmol=self.reaction.nc_nmol + nc_nmol)
            return
        self.reaction = Reaction(nc_nmol, diameter_nm, "ZnS")
        early = self._early_mmol
        early["water"] = 0.0  # a flask that was never degassed has its water in the initial state
        self.meet(early)

    def meet(self, amounts_mmol: Mapping[str, float]) -> None:
        """What was poured in meets the dots; other substances are no part of the reaction.

        Water that comes with HF belongs to the acid. The first chalcogenide decides on the shell.
        """
        self._indium = self._indium or any(name in amounts_mmol for name in _INDIUM)
        if self._indium and _PHOSPHINE in amounts_mmol:
            self.growth.add_phosphine(amounts_mmol[_PHOSPHINE])
        for name in _REACTS:
            mmol = amounts_mmol.get(name, 0.0)
            if mmol > 0.0 and not (name == "water" and "HF" in amounts_mmol):
                self._take(name, mmol)

    def advance(
        self,
        dt_s: float,
        temperature_c: float,
        volume_ml: float,
        under_vacuum: bool,
        mixing: float,
    ) -> None:
        """Let `dt_s` pass; an acid dose acts once nothing of it has come for 5 s."""
        self.growth.advance(dt_s, temperature_c)
        reaction = self.reaction
        if reaction is None:
            return
        if self._acid_mmol > 0.0:
            self._since_acid_s += dt_s
            if self._since_acid_s >= _DOSE_OVER_S:
                reaction.add_hf(self._acid_mmol)
                self._acid_mmol = 0.0
        reaction.advance(dt_s, temperature_c, volume_ml, under_vacuum, mixing)

    def keep(self, fraction: float) -> None:
        """Keep a fraction of the flask: what an aliquot leaves."""
        self.growth.keep(fraction)
        self._acid_mmol *= fraction
        for name in self._early_mmol:
            self._early_mmol[name] *= fraction
        if self.reaction is not None:
            self._rebuild(self.reaction, nc_nmol=self.reaction.nc_nmol * fraction)
            state = self.reaction.state
            for name in _EXTENSIVE:
                setattr(state, name, getattr(state, name) * fraction)

    def looks(self, temperature_c: float = ROOM_C) -> Looks | None:
        """How the dots look at a temperature; None before there is anything to see."""
        reaction = self.reaction
        if reaction is not None:
            return Looks(
                reaction.nc_nmol,
                reaction.diameter_nm,
                reaction.peak_nm(temperature_c),
                reaction.qy,
                reaction.state.zinc_fluoride_mmol,
            )
        peak_nm = self.growth.peak_nm(temperature_c)
        if peak_nm is None:
            return None
        return Looks(self.growth.cores_mmol * 1e6, self.growth.diameter_nm, peak_nm, _BARE_QY)

    def product(self) -> dict[str, float]:
        """What the dots have become, by name; nothing before there are any."""
        if self.reaction is None:
            return self._grown()
        state = self.reaction.state
        return {
            "layers": self.reaction.layers,
            "qy": self.reaction.qy,
            "peak_nm": self.reaction.peak_nm(),
            "oxide": state.oxide,
            "holes": self.reaction.holes,
            "coverage": min(state.covered, 1.0),
            "zn_exchanged": state.zinc_exchanged,
            "adsorbed": state.adsorbed,
            "water": state.water,
            "zinc_fluoride_mmol": state.zinc_fluoride_mmol,
            "nc_nmol": self.reaction.nc_nmol,
            "diameter_nm": self.reaction.diameter_nm,
        }

    def _grown(self) -> dict[str, float]:
        looks = self.looks()
        if looks is None:
            return {}
        return {
            "qy": looks.qy,
            "peak_nm": looks.peak_nm,
            "nc_nmol": looks.nc_nmol,
            "diameter_nm": looks.diameter_nm,
            "conversion": self.growth.conversion,
        }

    def _take(self, name: str, mmol: float) -> None:
        reaction = self.reaction
        if reaction is None:
            self._early_mmol[name] += mmol
        elif name == "zinc oleate":
            reaction.add_zinc(mmol)
        elif name == "HF":
            self._acid_mmol += mmol
            self._since_acid_s = 0.0
        elif name == "water":
            reaction.add_water(mmol / _WATER_PER_HF)
        else:
            self._shelled(reaction, _SHELLS[name]).add_chalcogenide(mmol)

    def _shelled(self, reaction: Reaction, shell: Shell) -> Reaction:
        state = reaction.state
        bare = state.adsorbed == 0.0 and state.chalcogenide_mmol == 0.0
        return self._rebuild(reaction, shell=shell) if bare else reaction

    def _rebuild(
        self, old: Reaction, *, nc_nmol: float | None = None, shell: Shell | None = None
    ) -> Reaction:
        new = Reaction(
            old.nc_nmol if nc_nmol is None else nc_nmol,
            old.diameter_nm,
            old.shell if shell is None else shell,
            old.kinetics,
        )
        new.state = replace(old.state)
        self.reaction = new
        return new
