"""Rig, batch and reagents -> the spec of their simulated twin."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import singledispatch

from labctl.bench import Loaded
from labctl.capabilities import DeviceSettings
from labctl.readings import Correction
from labctl.rig.devices import (
    Entry,
    FlowEntry,
    GaugeEntry,
    HeaterEntry,
    LaserEntry,
    PersonEntry,
    PumpEntry,
    RelayEntry,
    SpectrometerEntry,
    StirrerEntry,
    VacuumEntry,
)
from labctl.rig.model import LoadedRig, Vessel
from labctl.rig.settings import correction_of, settings_of
from labctl.twin import TwinDevice, TwinFault, TwinReagent, TwinSpec, TwinSyringe, TwinVessel

Roles = Mapping[str, str]

OUTPUT_THINGS = {"fine": "fine_pump", "jack": "jack", "fan": "fan", "shutter": "shutter",
                 "beacon": "beacon"}  # fmt: skip
INPUT_THINGS = {"n2_pressure": "n2_pressure", "hood_flow": "hood_flow", "estop": "estop"}
DEFAULT_PATH_MM = 2.0


def twin_of(
    rig: LoadedRig,
    vessel: Vessel,
    loads: Iterable[Loaded],
    reagents: Mapping[str, str],
    *,
    seed: int,
    path_mm: float | None = None,
    faults: tuple[TwinFault, ...] = (),
) -> TwinSpec:
    """Return the spec of a rig's twin, loaded as the batch sheet says; same input, same spec.

    `reagents` maps each reagent's name to its `is:` text; `path_mm` None is the rig's own.
    """
    model = rig.model
    loaded = list(loads)
    return TwinSpec(
        seed,
        devices_of(rig),
        _twin_vessel(vessel),
        tuple(TwinReagent(x.name, reagents[x.name], x.concentration_mol_l) for x in loaded),
        tuple(_syringe(load) for load in loaded if load.pump),
        {name: port.baud for name, port in model.ports.items()},
        path_mm=path_mm or path_mm_of(rig),
        faults=faults,
    )


def _twin_vessel(vessel: Vessel) -> TwinVessel:
    plain = TwinVessel(vessel.volume, vessel.mantle, vessel.glass_j_k)
    thermal = vessel.thermal
    if thermal is None:
        return plain
    return replace(
        plain,
        mantle_j_k=thermal.capacity,
        mantle_to_flask_w_k=thermal.to_flask,
        mantle_to_air_w_k=thermal.mantle_to_air,
        flask_to_air_w_k=thermal.flask_to_air,
    )


def guarded(spec: TwinSpec, rig: LoadedRig) -> TwinSpec:
    """Add the contactor on the guard's port, which holds the heater off until it is closed."""
    return replace(spec, devices=(*spec.devices, *guard_of(rig)))


def devices_of(rig: LoadedRig) -> tuple[TwinDevice, ...]:
    """Return the devices of a rig, people apart, each with what in the world it touches."""
    return tuple(
        TwinDevice(
            name,
            entry.kind,
            entry.port,
            settings_of(entry, name),
            touches_of(entry, name, rig),
            _misreads(entry),
        )
        for name, entry in rig.model.devices.items()
        if not isinstance(entry, PersonEntry)
    )


def guard_of(rig: LoadedRig) -> tuple[TwinDevice, ...]:
    """Return the board on the guard's port that holds the contactor; none without a guard."""
    guard = rig.model.guard
    if guard is None:
        return ()
    settings = DeviceSettings("guard", address=guard.unit, outputs={"contactor": guard.coil})
    touches = {"contactor": "contactor"}
    return (TwinDevice("guard", guard.kind, guard.port, settings, touches),)


def _misreads(entry: Entry) -> dict[str, Correction]:
    """Let a simulated probe be as wrong as its calibration says, so that corrected is true."""
    correction = correction_of(entry)
    part = "probe2" if isinstance(entry, StirrerEntry) else "probe"
    return {} if correction is None else {part: correction}


def touches_of(entry: Entry, name: str, rig: LoadedRig) -> dict[str, str]:
    """Return what in the world an instrument touches."""
    return _touches(entry, name, _roles_of(name, rig), rig)


@singledispatch
def _touches(entry: Entry, name: str, roles: Roles, rig: LoadedRig) -> dict[str, str]:
    return {}


@_touches.register
def _heater(entry: HeaterEntry, name: str, roles: Roles, rig: LoadedRig) -> dict[str, str]:
    if "warm_line" in roles.values():
        return {"probe": "warm.T", "output": "warm"}
    return {"probe": "flask.T", "output": "heater"}


@_touches.register
def _stirrer(entry: StirrerEntry, name: str, roles: Roles, rig: LoadedRig) -> dict[str, str]:
    return {"speed": "stirrer", "probe2": "flask.T2"}


@_touches.register
def _relay(entry: RelayEntry, name: str, roles: Roles, rig: LoadedRig) -> dict[str, str]:
    touches = {}
    for coil in entry.coils:
        role = roles.get(coil, "")
        is_valve = "manifold" in roles.values() and role not in OUTPUT_THINGS
        touches[coil] = OUTPUT_THINGS.get(role, f"valve.{coil}" if is_valve else coil)
    for part in entry.inputs:
        touches[part] = "button" if roles.get(part) == "button" else INPUT_THINGS.get(part, part)
    return touches


@_touches.register
def _pump(entry: PumpEntry, name: str, roles: Roles, rig: LoadedRig) -> dict[str, str]:
    return {"plunger": f"syringe.{name}", "drawn": f"syringe.{name}.drawn"}


@_touches.register
def _gauge(entry: GaugeEntry, name: str, roles: Roles, rig: LoadedRig) -> dict[str, str]:
    things = {"flask_gauge": "flask.P", "line_gauge": "line.P"}
    return {
        str(place.ch): things.get(roles.get(place_name, ""), f"{place_name}.P")
        for place_name, place in entry.channels.items()
    }


@_touches.register
def _vacuum(entry: VacuumEntry, name: str, roles: Roles, rig: LoadedRig) -> dict[str, str]:
    return {"pump": "rough_pump", "pressure": "rough.P"}


@_touches.register
def _flow(entry: FlowEntry, name: str, roles: Roles, rig: LoadedRig) -> dict[str, str]:
    return {"flow": "n2_flow", "supply": "n2_pressure", "pressure": "flask.P"}


@_touches.register
def _spectrometer(
    entry: SpectrometerEntry, name: str, roles: Roles, rig: LoadedRig
) -> dict[str, str]:
    return {"spectrum": "pl" if "pl" in roles.values() else "absorbance"}


@_touches.register
def _laser(entry: LaserEntry, name: str, roles: Roles, rig: LoadedRig) -> dict[str, str]:
    return {"laser": "laser"}


def _roles_of(name: str, rig: LoadedRig) -> dict[str, str]:
    """Map each part of a device ("" for the whole) to the role it plays."""
    found = {}
    for role, bound in rig.model.roles.items():
        device, _, part = bound.partition(".")
        if device == name:
            found[part] = role
    return found


def _syringe(load: Loaded) -> TwinSyringe:
    return TwinSyringe(
        load.pump,
        load.name,
        load.drawn_ml,
        load.dead_ml,
        load.hold_up_ml,
        load.fraction,
        f"valve.{load.valve}" if load.valve else "",
        load.warmed_by,
    )


def path_mm_of(rig: LoadedRig) -> float:
    """Return the optical path of the absorbance probe in mm, as the rig file has it."""
    entry = rig.model.devices.get(rig.entry("absorbance")[0])
    if isinstance(entry, SpectrometerEntry) and entry.probe is not None:
        return entry.probe.path
    return DEFAULT_PATH_MM
