"""With what the line of a reagent is flushed: by what is in it, with a dry oil, toluene or acetone.

P(TMS)3 makes PH3 with acetone, water and alcohols, a metal oleate plugs its line in acetone, and
HF is rinsed out with acetone into plastic only (Choi et al., their flushes; D6-D7 of its notes).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from labctl.chemistry.substances import find

TIMES: Final = 3
LEAST_ML: Final = 1.0
DEAD_VOLUMES: Final = 5.0


@dataclass(frozen=True, slots=True)
class Rinse:
    """What a line is flushed with: solvent, °C (None for room), how it ends, and why."""

    solvent: str
    at_c: float | None
    then: str
    why: str


OIL: Final = Rinse("dry ODE", None, "", "acetone, water or alcohol would make PH3")
ACID: Final = Rinse("acetone", None, "N2", "dry it with N2; nothing of glass or steel touches it")
WARM: Final = Rinse("toluene", 60.0, "", "cold it gels, and acetone would plug the line")
PLAIN: Final = Rinse("toluene", None, "", "it takes up what is left")


def rinse_of(names: Iterable[str]) -> Rinse:
    """Return with what a line is flushed that held a mixture of substances.

    >>> rinse_of(["P(TMS)3", "TOP"]).solvent, rinse_of(["zinc oleate", "ODE"]).at_c
    ('dry ODE', 60.0)
    >>> rinse_of(["HF", "acetone"]).then
    'N2'

    Raises:
        UnknownNameError: a name that is not in the table of substances.
    """
    found = [find(name) for name in names]
    hazards = frozenset[str]().union(*(substance.hazards for substance in found))
    if "pyrophoric" in hazards:
        return OIL
    if "HF" in hazards:
        return ACID
    return WARM if any(substance.kind == "metal" for substance in found) else PLAIN


def rinse_ml(dead_ml: float, syringe_ml: float) -> float:
    """Return the mL of each of `TIMES` rinses: five dead volumes, at least 1, at most one stroke.

    >>> rinse_ml(0.302, 10.0), rinse_ml(0.098, 5.0), rinse_ml(0.3, 1.0)
    (1.5, 1.0, 1.0)
    """
    return min(syringe_ml, max(LEAST_ML, round(DEAD_VOLUMES * dead_ml, 1)))
