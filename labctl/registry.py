"""The shelves: kind -> class, found through one entry point per shelf and imported on demand.

A shelf is a package with a CATALOG. Third parties add their own entry point in `labctl.catalog`.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from labctl.capabilities import Listing, Proof
from labctl.errors import UnknownNameError, UsageError
from labctl.twin import FaultListing, TwinSpec, World

Catalog = Mapping[str, Listing]


@functools.cache
def catalog(shelf: str) -> Catalog:
    """Return the merged CATALOG of a shelf, `drivers` or `simulators`.

    Raises:
        UnknownNameError: no such shelf is installed.
        UsageError: two packages claim the same kind.
    """
    points = entry_points(group="labctl.catalog")
    found = [point.load() for point in points if point.name == shelf]
    if not found:
        raise UnknownNameError("shelf", shelf, {point.name for point in points})
    merged: dict[str, Listing] = {}
    for rows in found:
        for kind in rows.keys() & merged.keys():
            both = f"{merged[kind].target} and {rows[kind].target}"
            raise UsageError(f"{kind} is claimed twice, by {both}; uninstall one of them")
        merged.update(rows)
    return merged


@dataclass(frozen=True, slots=True)
class Shelf:
    """A package of instruments: its name, the folder it came from, whether it is the right one."""

    name: str
    place: Path
    is_ours: bool


def shelves() -> tuple[Shelf, ...]:
    """Return where the instruments come from; one of labctl's own must lie beside labctl."""
    home = Path(__file__).parents[1]
    found = []
    for point in entry_points(group="labctl.catalog"):
        package = importlib.import_module(point.module)
        place = Path(package.__file__ or next(iter(package.__path__))).parent
        foreign = point.dist is not None and point.dist.name != "labctl"
        found.append(Shelf(point.module, place, foreign or place.parent == home))
    return tuple(found)


def listing(shelf: str, kind: str) -> Listing:
    """Return the row of a kind.

    Raises:
        UnknownNameError: the shelf has no such kind; carries the nearest one.
    """
    rows = catalog(shelf)
    if kind not in rows:
        raise UnknownNameError("instrument kind", kind, rows)
    return rows[kind]


def quality(kind: str) -> Mapping[str, Proof]:
    """Return how far a kind is proven, rule by rule; empty where its shelf keeps no such table."""
    for point in entry_points(group="labctl.catalog"):
        if point.name == "drivers" and kind in point.load():
            try:
                table = importlib.import_module(f"{point.module}.quality")
            except ModuleNotFoundError:
                return {}
            found: Mapping[str, Mapping[str, Proof]] = table.QUALITY
            return found.get(kind, {})
    return {}


def load(shelf: str, kind: str) -> Callable[..., object]:
    """Import and return the class of a kind.

    Raises:
        UnknownNameError: the shelf has no such kind.
    """
    module, _, name = listing(shelf, kind).target.partition(":")
    found: Callable[..., object] = getattr(importlib.import_module(module), name)
    return found


def build_world(spec: TwinSpec) -> World:
    """Build the simulated world of a rig."""
    (point,) = entry_points(group="labctl.world")
    built: World = point.load()(spec)
    return built


def bundled_rig() -> Path:
    """Return the rig file that dry runs use when none is named; it lies beside the simulators."""
    (point,) = entry_points(group="labctl.world")
    package = importlib.import_module(point.module.partition(".")[0])
    return Path(next(iter(package.__path__))) / "rig.yaml"


def serving() -> ModuleType:
    """Return the module that serves simulated instruments on ptys and TCP in real time."""
    (point,) = entry_points(group="labctl.world")
    return importlib.import_module(point.module.partition(".")[0] + ".serve")


def fault_table() -> Mapping[str, FaultListing]:
    """Return the faults that the simulated world knows, by name."""
    (point,) = entry_points(group="labctl.world")
    package = importlib.import_module(point.module.partition(".")[0] + ".faults")
    table: Mapping[str, FaultListing] = package.LISTINGS
    return table


def line_baud(kind: str) -> int:
    """Return the usual baud rate of a kind's line; 0 where it is a network."""
    word = listing("drivers", kind).line.partition(" ")[0]
    return int(word) if word.isdigit() else 0
