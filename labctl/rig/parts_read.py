"""What each kind of device gives to read, by name and dimension, known without opening it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from labctl.rig.devices import (
    Entry,
    FlowEntry,
    GaugeEntry,
    HeaterEntry,
    LaserEntry,
    PumpEntry,
    RelayEntry,
    StirrerEntry,
    VacuumEntry,
)
from labctl.rig.model import LoadedRig

FACTS: Mapping[str, str] = {
    "ambient": "pressure",
    "site.attended": "truth",
    "trap.cold": "truth",
    "reagent.keep_at": "temperature",
}
_TEMPERATURE = "temperature"
_BY_SHAPE: Mapping[type[Entry], Mapping[str, str]] = {
    HeaterEntry: {
        "pv": _TEMPERATURE,
        "setpoint": _TEMPERATURE,
        "working": _TEMPERATURE,
        "output": "fraction",
    },
    StirrerEntry: {"speed": "rotation", "probe2": _TEMPERATURE},
    PumpEntry: {"dispensed": "volume", "infusing": "truth"},
    VacuumEntry: {"pressure": "pressure", "pumping": "fraction"},
    FlowEntry: {
        "flow": "gas flow",
        "setpoint": "gas flow",
        "pressure": "pressure",
        "temperature": _TEMPERATURE,
    },
    LaserEntry: {"power": "power", "emitting": "truth"},
}


def parts_read(entry: Entry) -> dict[str, str]:
    """Return the dimension of everything that a device reads, by its name; the first is its own."""
    if isinstance(entry, RelayEntry):
        return dict.fromkeys((*entry.coils, *entry.inputs), "truth")
    if isinstance(entry, GaugeEntry):
        return dict.fromkeys(entry.channels, "pressure")
    return dict(_BY_SHAPE.get(type(entry), {}))


def signals_of(rig: LoadedRig) -> Iterator[tuple[str, str, str]]:
    """Yield every signal of a rig: its name, its dimension, and the device that reads it.

    What a person reads has no device; its name says what it is.
    """
    model = rig.model
    for name, entry in model.devices.items():
        for part, dimension in parts_read(entry).items():
            yield f"{name}.{part}", dimension, name
        if entry.kind == "operator":
            yield "stirrer.speed", "rotation", ""
    for signal, reference in model.signals.items():
        name, _, part = reference.partition(".")
        source = model.devices.get(name)
        found = {} if source is None else parts_read(source)
        if found:
            yield signal, found.get(part or next(iter(found)), "any"), name
        else:
            last = signal.rpartition(".")[2][:1]
            yield signal, {"P": "pressure", "T": _TEMPERATURE}.get(last, "any"), ""
    for fact, dimension in FACTS.items():
        yield fact, dimension, ""
