"""Rig file -> LoadedRig: types, then the names that must fit together."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from labctl.errors import Finding, FindingsError, UnknownNameError, nearest
from labctl.registry import listing
from labctl.rig.devices import SHAPES, Entry, PersonEntry
from labctl.rig.interlock_names import interlock_names
from labctl.rig.model import LoadedRig, Rig
from labctl.source import Document, Place, collect, read, validate

ROLES = (
    "heater", "warm_line", "stirrer", "manifold", "flask_gauge", "line_gauge", "rough", "fine",
    "n2_flow", "jack", "fan", "shutter", "beacon", "button", "absorbance", "pl", "excitation",
    "operator",
)  # fmt: skip


def load_rig(path: Path) -> LoadedRig:
    """Read a rig file.

    Raises:
        FindingsError: everything wrong in it that can be seen without opening a port.
    """
    return rig_of(read(path))


def rig_of(document: Document) -> LoadedRig:
    """Give a composed rig file its types and check its names.

    Raises:
        FindingsError: everything wrong in it that can be seen without opening a port.
    """
    document.mapping()
    devices = document.at(("devices",))
    entries: dict[str, Entry] = {}

    def device(name: str) -> None:
        entries[name] = validate(_shape(document, name), document, ("devices", name))

    names = list(devices) if isinstance(devices, dict) else []
    bare = {key: value for key, value in document.mapping().items() if key != "devices"}
    model: list[Rig] = []
    collect(
        [
            *(partial(device, name) for name in names),
            lambda: model.append(validate(Rig, document, (), {**bare, "devices": {}})),
        ]
    )
    rig = LoadedRig(model[0].model_copy(update={"devices": entries}), document)
    findings = [*_names(rig)]
    if findings:
        raise FindingsError(findings)
    return rig


def _shape(document: Document, name: str) -> type[Entry]:
    place: Place = ("devices", name)
    kind = document.mapping(place).get("kind", "")
    if kind == "operator":
        return PersonEntry
    if not isinstance(kind, str) or not kind:
        mark = document.key_mark(place)
        raise FindingsError([mark.finding("schema.missing_key", f"{name} needs the key 'kind'")])
    try:
        return SHAPES[listing("drivers", kind).roles[0]]
    except UnknownNameError as error:
        mark = document.mark((*place, "kind"))
        raise FindingsError([mark.finding("names.unknown_kind", str(error))]) from None


def _names(rig: LoadedRig) -> Iterator[Finding]:
    yield from _ports(rig)
    yield from _roles(rig)
    yield from _signals(rig)
    yield from interlock_names(rig)


def _ports(rig: LoadedRig) -> Iterator[Finding]:
    model, document = rig.model, rig.document
    for name, entry in model.devices.items():
        if isinstance(entry, PersonEntry) or entry.port in model.ports:
            continue
        message = (
            f"{name} needs a port; {entry.port!r} is not one{nearest(entry.port, model.ports)}"
        )
        yield document.key_mark(("devices", name, "port")).finding("names.unknown_port", message)


def _roles(rig: LoadedRig) -> Iterator[Finding]:
    model, document = rig.model, rig.document
    for role, bound in model.roles.items():
        place = ("roles", role)
        if role not in ROLES:
            message = f"role {role!r} is not known{nearest(role, ROLES)}"
            yield document.key_mark(place).finding("names.unknown_role", message)
        device = bound.partition(".")[0]
        if device not in model.devices:
            message = (
                f"{role} is bound to {bound!r}; no such device{nearest(device, model.devices)}"
            )
            yield document.mark(place).finding("names.unknown_device", message)


def _signals(rig: LoadedRig) -> Iterator[Finding]:
    model, document = rig.model, rig.document
    for signal, reference in model.signals.items():
        device = reference.partition(".")[0]
        if device not in model.devices:
            message = f"{signal} comes from {reference!r}; no such device"
            hint = nearest(device, model.devices)
            yield document.mark(("signals", signal)).finding("names.unknown_device", message + hint)
