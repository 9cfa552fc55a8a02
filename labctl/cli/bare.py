"""Twins without a recipe: a rig with full syringes, or one instrument with what is around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from labctl.bench import Loaded
from labctl.capabilities import DeviceSettings, ScanSettings
from labctl.chemistry.reagent import parse_composition
from labctl.errors import FindingsError
from labctl.plan import pump_limits
from labctl.readings import Channel
from labctl.registry import listing
from labctl.rig.devices import PumpEntry
from labctl.rig.model import LoadedRig, PortEntry, Vessel
from labctl.rig.twinning import guarded, twin_of
from labctl.twin import TwinDevice, TwinReagent, TwinSpec, TwinSyringe, TwinVessel

FILLING = "squalane"
PORT = "line"
_RELAYS = {f"out_{n}": n for n in range(1, 9)}
_INPUTS = {f"in_{n}": n for n in range(1, 9)}

_AROUND: Mapping[str, tuple[DeviceSettings, Mapping[str, str]]] = {
    "heater": (
        DeviceSettings("heater", setpoint_low=20.0, setpoint_high=345.0),
        {"probe": "flask.T", "output": "heater"},
    ),
    "stirrer": (
        DeviceSettings("stirrer", speed_high_rpm=1500.0, has_probe2=True),
        {"speed": "stirrer", "probe2": "flask.T2"},
    ),
    "manifold": (
        DeviceSettings("relays", outputs=_RELAYS, inputs=_INPUTS),
        {name: name for name in (*_RELAYS, *_INPUTS)},
    ),
    "pump": (
        DeviceSettings("pump", address=0, bore_mm=14.57, syringe_ml=10.0),
        {"plunger": "syringe.pump"},
    ),
    "flask_gauge": (
        DeviceSettings(
            "gauges",
            places={
                1: Channel("flask", "pressure", 0.1, 1100.0),
                2: Channel("line", "pressure", 0.001, 5.0),
            },
        ),
        {"1": "flask.P", "2": "line.P"},
    ),
    "rough": (DeviceSettings("rough"), {"pump": "rough_pump", "pressure": "rough.P"}),
    "n2_flow": (
        DeviceSettings("n2_flow", address=0, flow_high_sccm=100.0),
        {"flow": "n2_flow", "supply": "n2_pressure", "pressure": "flask.P"},
    ),
    "absorbance": (DeviceSettings("absorbance"), {"spectrum": "absorbance"}),
    "pl": (DeviceSettings("pl", detector_c=-10.0), {"spectrum": "pl"}),
    "excitation": (
        DeviceSettings("laser", power_high_mw=20.0, wavelength_nm=405.0),
        {"laser": "laser"},
    ),
}
"""Settings and surroundings of an instrument, by the first role it plays."""

_ONE_GAUGE = {4: Channel("flask", "pressure", 0.1, 1100.0)}
_KINDS: Mapping[str, tuple[Mapping[str, object], Mapping[str, str]]] = {
    "cavro_xcalibur": (
        {"syringe_ml": 5.0, "ports": {"flask": "3", "reservoir": "1", "waste": "9"}},
        {"plunger": "syringe.pump", "drawn": "syringe.pump.drawn"},
    ),
    "horiba_icl": (
        {"scan": ScanSettings(550.0, 554.0, 2.0, 0.02, 4e6)},
        {"spectrum": "pl"},
    ),
    "mks_901p": ({"places": _ONE_GAUGE}, {"4": "flask.P"}),
    "mks_974b": ({"places": _ONE_GAUGE}, {"4": "flask.P"}),
    "pfeiffer_ppt100": ({"places": {1: Channel("line", "pressure", 0.001, 5.0)}}, {"1": "line.P"}),
    "pfeiffer_tpg361": (
        {"places": {1: Channel("flask", "pressure", 0.1, 1100.0)}},
        {"1": "flask.P"},
    ),
}
"""What of it is otherwise for a kind that is not like the others of its role."""


def rig_twin(rig: LoadedRig, seed: int) -> TwinSpec:
    """Return the twin of a rig whose syringes are full of solvent, its guard's contactor open.

    Raises:
        FindingsError: the rig has no vessel that can be heated.
    """
    pumps = {
        name: entry for name, entry in rig.model.devices.items() if isinstance(entry, PumpEntry)
    }
    loads = [_full(name, entry) for name, entry in pumps.items()]
    reagents = dict.fromkeys(pumps, FILLING)
    return guarded(twin_of(rig, _flask(rig), loads, reagents, seed=seed), rig)


def bare_twin(kind: str, seed: int) -> tuple[TwinSpec, Mapping[str, PortEntry]]:
    """Return the twin of one instrument, and the port it is on.

    Raises:
        UnknownNameError: no such kind.
    """
    row = listing("drivers", kind)
    settings, touches = _AROUND[row.roles[0]]
    if kind in _KINDS:
        other, touches = _KINDS[kind]
        settings = replace(settings, **other)  # type: ignore[arg-type]
    name = settings.name
    vessel = TwinVessel(50.0, 80.0, 30.0)
    networked = row.line == "tcp"
    port = PortEntry(tcp="bare", baud=0) if networked else PortEntry(path="bare", baud=0)
    syringes = (TwinSyringe(name, FILLING, 8.0, 0.3, 0.005, 1.0),) if "plunger" in touches else ()
    reagents = (TwinReagent(FILLING, FILLING, None),)
    device = TwinDevice(name, kind, PORT, settings, touches)
    return TwinSpec(seed, (device,), vessel, reagents, syringes), {PORT: port}


def _full(name: str, entry: PumpEntry) -> Loaded:
    return Loaded(
        name,
        parse_composition(FILLING),
        None,
        name,
        entry.syringe.volume_ml,
        entry.line.dead,
        entry.line.hold_up,
        entry.syringe.volume_ml,
        entry.calibration.delivered if entry.calibration else 1.0,
        pump_limits(entry),
        valve=entry.valve,
        warmed_by=entry.warmed_by,
    )


def _flask(rig: LoadedRig) -> Vessel:
    for vessel in rig.model.vessels.values():
        if vessel.mantle:
            return vessel
    mark = rig.document.key_mark(("vessels",))
    raise FindingsError([mark.finding("rig.no_flask", "no vessel has a mantle; give one `mantle`")])
