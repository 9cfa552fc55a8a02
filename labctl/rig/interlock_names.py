"""The names that interlocks use: signals, outputs and pumps must exist on the rig."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from labctl.errors import Finding, nearest
from labctl.expressions import Call, Name, Tree, walk
from labctl.rig.devices import PumpEntry, RelayEntry
from labctl.rig.model import LoadedRig
from labctl.rig.parts_read import signals_of
from labctl.rules import Interlock
from labctl.source import Document, Mark, Place

VALVE_FUNCTIONS = frozenset({"open", "closed", "count_open"})
NAMES_NO_SIGNAL = VALVE_FUNCTIONS | {"token", "state", "confirmed"}


def interlock_names(rig: LoadedRig) -> Iterator[Finding]:
    """Find every name in the rig's interlocks that nothing on the rig bears."""
    yield from names_of_rules(rig, rig.model.interlocks, rig.document)


def names_of_rules(
    rig: LoadedRig, interlocks: Sequence[Interlock], document: Document
) -> Iterator[Finding]:
    """Find every name in interlocks, written in a document, that nothing on the rig bears."""
    for n, interlock in enumerate(interlocks):
        yield from _gates(rig, interlock, document, ("interlocks", n))
        yield from _conditions(rig, interlock, document, ("interlocks", n))


def _gates(
    rig: LoadedRig, interlock: Interlock, document: Document, place: Place
) -> Iterator[Finding]:
    known = _outputs(rig) | _pumps(rig)
    for m, gate in enumerate(interlock.gates):
        if gate not in known and not _hand_manifold(rig):
            message = f"{interlock.id} gates {gate!r}; no such output or pump{nearest(gate, known)}"
            mark = document.mark((*place, "gates", m))
            yield mark.finding("names.unknown_output", message)


def _conditions(
    rig: LoadedRig, interlock: Interlock, document: Document, place: Place
) -> Iterator[Finding]:
    for key in ("require", "when", "unless"):
        condition = getattr(interlock, key)
        if condition is not None:
            mark = document.mark((*place, key))
            yield from _condition(rig, interlock.id, condition.tree, mark)


def _condition(rig: LoadedRig, rule: str, tree: Tree, mark: Mark) -> Iterator[Finding]:
    signals, outputs = set(_signals(rig)), _outputs(rig)
    for name in _asked(tree):
        if name not in signals:
            message = f"{rule}: signal {name!r} is not known{nearest(name, signals)}"
            yield mark.finding("names.unknown_signal", message)
    for name in _valves(tree):
        if name not in outputs and not _hand_manifold(rig):
            message = f"{rule}: {name!r} is no output{nearest(name, outputs)}"
            yield mark.finding("names.unknown_output", message)


def _hand_manifold(rig: LoadedRig) -> bool:
    """A person's manifold has no list of valves to check against."""
    return rig.entry("manifold")[0] == rig.person


def _outputs(rig: LoadedRig) -> set[str]:
    boards = [e for e in rig.model.devices.values() if isinstance(e, RelayEntry)]
    return {coil for board in boards for coil in board.coils}


def _pumps(rig: LoadedRig) -> set[str]:
    return {name for name, entry in rig.model.devices.items() if isinstance(entry, PumpEntry)}


def _valves(tree: Tree) -> Iterator[str]:
    for node in walk(tree):
        if isinstance(node, Call) and node.function in VALVE_FUNCTIONS:
            yield from (part.name for part in node.arguments if isinstance(part, Name))


def _asked(tree: Tree) -> Iterator[str]:
    """Yield the signals of a condition; what valve and token functions name are none."""
    inside: set[int] = set()
    for node in walk(tree):
        if isinstance(node, Call) and node.function in NAMES_NO_SIGNAL:
            inside |= {id(argument) for argument in node.arguments}
        if isinstance(node, Name) and id(node) not in inside:
            yield node.name


def _signals(rig: LoadedRig) -> Iterator[str]:
    yield from (name for name, _, _ in signals_of(rig))
    yield from (f"{name}.speed" for name in rig.model.devices)
