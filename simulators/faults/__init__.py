"""Faults of a simulated rig by name, one module per family; simulation-and-safety numbers F1-F37.

`FAULTS` is the table. A fault is data in `TwinSpec.faults`; the world begins and ends it.
"""

from collections.abc import Mapping

from labctl.twin import FaultListing
from simulators.faults import device, liquid, optics, thermal, vacuum, wire
from simulators.faults.kind import FaultKind

FAULTS: dict[str, FaultKind] = {
    kind.listing.name: kind
    for family in (wire, device, thermal, vacuum, liquid, optics)
    for kind in family.KINDS
}

LISTINGS: Mapping[str, FaultListing] = {name: kind.listing for name, kind in FAULTS.items()}
