"""What may be done with what is left over, from the hazards of the table of substances."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from labctl.chemistry.substances import find

_BY_HAZARD: Final = (
    ("HF", "HF waste apart, into plastic with CaCO3, never into glass; gluconate gel at hand"),
    ("pyrophoric", "keep closed under inert gas, back into the glovebox; no acid, alcohol, water"),
    ("oxidiser", "never to organic waste; quench with water in the hood"),
    ("moisture", "keep dry under inert gas"),
    ("unstable", "not to be kept: use it today or dispose of it"),
    ("peroxides", "not to be kept over months: test for peroxides"),
    ("stench", "closed, in the hood; rinse what it touched before it leaves the hood"),
    ("corrosive", "gloves; a waste of its own kind"),
    ("toxic", "in the hood; to toxic waste"),
    ("flammable", "to solvent waste, away from hot glass"),
)
_MOST = 2
_HARMLESS = "to oil waste"


def advice(names: Iterable[str]) -> str:
    """Say what to do with a mixture of substances: the most of its hazards first.

    >>> advice(["squalane"])
    'to oil waste'
    >>> advice(["HF", "acetone"]).partition(",")[0]
    'HF waste apart'

    Raises:
        UnknownNameError: a name that is not in the table of substances.
    """
    hazards = frozenset[str]().union(*(find(name).hazards for name in names))
    said = [text for hazard, text in _BY_HAZARD if hazard in hazards]
    return "; ".join(said[: 1 if "HF" in hazards else _MOST]) or _HARMLESS
