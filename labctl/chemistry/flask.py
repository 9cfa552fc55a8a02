"""The state of the flask as the plan follows it: contents, temperature, atmosphere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from labctl.chemistry.mixture import Mixture


class Atmosphere(StrEnum):
    """What stands over the liquid."""

    AIR = "air"
    VACUUM = "vacuum"
    INERT = "inert"


@dataclass(frozen=True, slots=True)
class Flask:
    """The flask between two steps: °C, mL (at 25 °C), rpm, s since the run began.

    `inert_since_s` is None in air; `referenced` tells that the lamp reference was taken in the
    solvent before the dots went in.
    """

    mixture: Mixture = field(default_factory=Mixture)
    temperature_c: float = 22.0
    atmosphere: Atmosphere = Atmosphere.AIR
    inert_since_s: float | None = None
    stirring_rpm: float = 0.0
    referenced: bool = False
    dots: bool = False
    setpoint_c: float = 22.0

    def add(self, amounts_mmol: Mapping[str, float]) -> Flask:
        """Add substances in mmol."""
        return replace(self, mixture=self.mixture.add(amounts_mmol))

    def volume_ml(self) -> float:
        """Volume of the liquid at 25 °C, in mL."""
        return self.mixture.volume_ml()

    def hot_volume_ml(self, temperature_c: float | None = None) -> float:
        """Volume of the liquid at a temperature (its own unless given), in mL."""
        at_c = self.temperature_c if temperature_c is None else temperature_c
        return self.mixture.volume_ml(at_c)

    def heat_capacity_j_k(self, glass_j_k: float) -> float:
        """Heat capacity of liquid and glass, in J/K."""
        return glass_j_k + self.mixture.heat_capacity_j_k()
