"""Physical constants of the chemistry, in the units the formulas are written in.

Source: CODATA 2018, exact since the SI of 2019; the Torr and the atmosphere are exact by
definition.
"""

from __future__ import annotations

from typing import Final

from labctl.units import TORR_MBAR as _TORR_MBAR

GAS_CONSTANT_J_MOL_K: Final = 8.314462618
AVOGADRO_PER_MOL: Final = 6.02214076e23
BOLTZMANN_EV_K: Final = 8.617333262e-5
HC_EV_NM: Final = 1239.841984
ZERO_CELSIUS_K: Final = 273.15
TORR_MBAR: Final = _TORR_MBAR
ATM_MBAR: Final = 1013.25
ROOM_C: Final = 25.0
