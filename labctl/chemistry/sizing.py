"""Named sizing curves of InP: first-exciton wavelength to size and back, at 25 °C.

A size is never a bare number here. The Almeida curves speak of tetrahedra and the paper of
diameters: an edge read as a diameter puts 2.4 nm at 524 nm instead of 470 nm, and the volumes of
one 580 nm sample differ by a factor 3.65. So curve and convention travel with the value.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from labctl.errors import RefusedError, UnknownNameError

HC_EV_NM = 1239.841984


class Convention(StrEnum):
    """What a size means, and its unit."""

    DIAMETER = "diameter of the sphere, nm"
    EDGE = "edge of the tetrahedron, nm"
    VOLUME = "volume, nm³"


@dataclass(frozen=True, slots=True)
class Size:
    """One size with its convention and the id of the curve it came from."""

    value: float
    convention: Convention
    curve: str

    @property
    def volume_nm3(self) -> float:
        """Volume of one crystal in nm³, the only quantity all conventions share."""
        if self.convention is Convention.DIAMETER:
            return math.pi / 6 * self.value**3
        if self.convention is Convention.EDGE:
            return self.value**3 / (6 * math.sqrt(2))
        return self.value

    @property
    def diameter_nm(self) -> float:
        """Diameter in nm, of a size that is a diameter.

        Raises:
            RefusedError: the size is an edge or a volume.
        """
        if self.convention is not Convention.DIAMETER:
            message = (
                f"asked for the diameter of a size from curve {self.curve!r}, which gives "
                f"{self.convention} ({self.value:.4g}); compare volumes, or use a diameter curve"
            )
            raise RefusedError(message)
        return self.value


@dataclass(frozen=True, slots=True)
class Curve:
    """E = gap + prefactor x size^-exponent, in eV; valid from `low` to `high` in its own unit."""

    name: str
    convention: Convention
    gap_ev: float
    prefactor_ev: float
    exponent: float
    low: float
    high: float
    source: str

    def energy_ev(self, value: float) -> float:
        """First-exciton energy at 25 °C of a size in the curve's unit; no check of the range."""
        return self.gap_ev + self.prefactor_ev * math.pow(value, -self.exponent)

    def size(self, wavelength_nm: float) -> Size:
        """Size of crystals whose first exciton is at `wavelength_nm` at 25 °C.

        Raises:
            RefusedError: the wavelength is outside the curve's range.
        """
        shortest, longest = (wavelength_nm_of(self.energy_ev(v)) for v in (self.low, self.high))
        if not shortest <= wavelength_nm <= longest:
            message = (
                f"curve {self.name!r} holds from {shortest:.1f} to {longest:.1f} nm at 25 °C, "
                f"got {wavelength_nm:g} nm; use another curve or a measured size"
            )
            raise RefusedError(message)
        confinement_ev = energy_ev_of(wavelength_nm) - self.gap_ev
        value = math.pow(self.prefactor_ev / confinement_ev, 1 / self.exponent)
        return Size(value, self.convention, self.name)

    def wavelength_nm(self, size: Size) -> float:
        """First-exciton wavelength at 25 °C of a size of the same convention.

        Raises:
            RefusedError: the size follows another convention, or is outside the range.
        """
        if size.convention is not self.convention:
            message = (
                f"curve {self.name!r} takes {self.convention}, got {size.convention} "
                f"(from curve {size.curve!r}); a number of one is no number of the other"
            )
            raise RefusedError(message)
        if not self.low <= size.value <= self.high:
            message = (
                f"curve {self.name!r} holds for {self.convention} from {self.low:g} to "
                f"{self.high:g}, got {size.value:g}; use another curve"
            )
            raise RefusedError(message)
        return wavelength_nm_of(self.energy_ev(size.value))


PAPER = Curve(
    name="paper-anchored",
    convention=Convention.DIAMETER,
    gap_ev=1.344,
    prefactor_ev=4.9605,
    exponent=1.53495,
    low=2.0,
    high=3.8,
    source="power law through the two anchors of Choi 2023: 470 nm, 2.4 nm and 580 nm, 3.3 nm",
)
ALMEIDA_EDGE = Curve(
    name="almeida-2023-edge",
    convention=Convention.EDGE,
    gap_ev=1.33,
    prefactor_ev=9.128 * 10**-0.684,  # published with the edge in ångström
    exponent=0.684,
    low=1.4,
    high=4.2,
    source="Almeida et al., Nano Lett. 2023, 23, 8697, edge fit",
)
ALMEIDA_VOLUME = Curve(
    name="almeida-2023-volume",
    convention=Convention.VOLUME,
    gap_ev=1.33,
    prefactor_ev=1.219,
    exponent=0.251,
    low=0.4,
    high=9.0,
    source="Almeida et al., Nano Lett. 2023, 23, 8697, volume fit",
)
CURVES: dict[str, Curve] = {curve.name: curve for curve in (PAPER, ALMEIDA_EDGE, ALMEIDA_VOLUME)}
ALIASES: dict[str, str] = {
    "paper": PAPER.name,
    "almeida2023": ALMEIDA_VOLUME.name,  # a volume needs no shape to be compared
    "almeida2023-edge": ALMEIDA_EDGE.name,
    "almeida2023-volume": ALMEIDA_VOLUME.name,
}
"""Short names -> ids; the id is what a result carries."""


def curve(name: str) -> Curve:
    """Look a sizing curve up by its id or a short name; case does not matter.

    >>> curve("almeida2023").name
    'almeida-2023-volume'

    Raises:
        UnknownNameError: no curve has this id; the message offers the nearest one.
    """
    folded = name.strip().casefold()
    found = CURVES.get(ALIASES.get(folded, folded))
    if found is None:
        raise UnknownNameError("sizing curve", name, [*CURVES, *ALIASES])
    return found


def energy_ev_of(wavelength_nm: float) -> float:
    """Photon energy in eV of a vacuum wavelength in nm.

    >>> round(energy_ev_of(500.0), 4)
    2.4797
    """
    return HC_EV_NM / wavelength_nm


def wavelength_nm_of(energy_ev: float) -> float:
    """Vacuum wavelength in nm of a photon energy in eV."""
    return HC_EV_NM / energy_ev
