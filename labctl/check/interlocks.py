"""Rules on the interlocks of rig and recipe: what they leave open, and what can never work."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from labctl.errors import ExpressionError, Finding, Severity, nearest
from labctl.expressions import Binary, Call, Name, Number, Tree, check_dimensions, names_in, walk
from labctl.plan import Plan
from labctl.rig.devices import GaugeEntry, HeaterEntry, PumpEntry, RelayEntry
from labctl.rig.interlock_names import VALVE_FUNCTIONS, names_of_rules
from labctl.rig.parts_read import signals_of
from labctl.rules import RUN_STATES, TOKENS, Interlock
from labctl.source import Document, Mark

FUNCTIONS = frozenset({
    "abs", "age", "rate", "stable", "max", "state", "token", "open", "closed", "count_open",
    "confirmed",
})  # fmt: skip
WORDS = {"state": RUN_STATES, "token": TOKENS}
JUDGED = frozenset({"trip", "freeze", "inhibit"})


@dataclass(frozen=True, slots=True)
class _Written:
    """An interlock where it is written."""

    rule: Interlock
    document: Document
    index: int

    def mark(self, key: str) -> Mark:
        """Return the place of one of its keys."""
        return self.document.mark(("interlocks", self.index, key))

    def conditions(self) -> Iterator[tuple[str, Tree]]:
        """Yield its conditions with their keys."""
        for key in ("require", "when", "unless"):
            condition = getattr(self.rule, key)
            if condition is not None:
                yield key, condition.tree


def heater(plan: Plan) -> Iterator[Finding]:
    """`interlocks.heater`: every heater has a trip on the temperature of what it heats."""
    for name, entry in plan.rig.model.devices.items():
        if isinstance(entry, HeaterEntry) and not _tripped_by(plan, name):
            message = f"{name} heats, and no trip reads what it heats; write one under interlocks"
            yield _at_device(plan, name, "interlocks.heater", message)


def pump(plan: Plan) -> Iterator[Finding]:
    """`interlocks.pump`: every dosing pump is gated by an inhibit."""
    for name, entry in plan.rig.model.devices.items():
        if isinstance(entry, PumpEntry) and name not in _gated(plan):
            message = f"{name} doses, and no inhibit gates it; write one under interlocks"
            yield _at_device(plan, name, "interlocks.pump", message)


def valve(plan: Plan) -> Iterator[Finding]:
    """`interlocks.valve`: every valve of the manifold is gated by an inhibit."""
    name = plan.rig.entry("manifold")[0]
    board = plan.rig.model.devices.get(name)
    if not isinstance(board, RelayEntry):
        return
    gated = _gated(plan)
    for coil in board.coils:
        if coil not in gated:
            message = f"no inhibit gates the valve {coil}; write one under interlocks"
            mark = plan.rig.document.key_mark(("devices", name, "coils", coil))
            yield mark.finding("interlocks.valve", message, Severity.WARNING)


def names(plan: Plan) -> Iterator[Finding]:
    """`interlocks.names`: what a recipe's interlocks name is on the rig."""
    found = names_of_rules(plan.rig, plan.recipe.head.interlocks, plan.recipe.document)
    for finding in found:
        mark = Mark(finding.file, finding.line, finding.column)
        yield mark.finding("interlocks.names", finding.message)


def functions(plan: Plan) -> Iterator[Finding]:
    """`interlocks.functions`: a condition uses functions that there are, with words they know."""
    for written in _written(plan):
        for key, tree in written.conditions():
            for node in walk(tree):
                message = _wrong_call(node) if isinstance(node, Call) else ""
                if message:
                    text = f"{written.rule.id}: {message}"
                    yield written.mark(key).finding("interlocks.functions", text)


def units(plan: Plan) -> Iterator[Finding]:
    """`interlocks.units`: the sides of a condition can be compared."""
    dimensions = {name: dimension for name, dimension, _ in signals_of(plan.rig)}
    for written in _written(plan):
        for key, tree in written.conditions():
            try:
                check_dimensions(tree, lambda name: dimensions.get(name, "any"))
            except ExpressionError as error:
                text = f"{written.rule.id}: {error}"
                yield written.mark(key).finding("interlocks.units", text)


def max_age(plan: Plan) -> Iterator[Finding]:
    """`interlocks.max_age`: a rule on a measured value says how old that value may be."""
    measured = {name for name, _, device in signals_of(plan.rig) if device}
    for written in _written(plan):
        rule = written.rule
        read = [name for name in names_in(rule.require.tree) if name in measured]
        if read and rule.max_age is None and rule.severity in JUDGED:
            message = f"{rule.id} reads {', '.join(read)} and has no max_age: how old may that be?"
            yield written.mark("require").finding("interlocks.max_age", message, Severity.WARNING)


def reachable(plan: Plan) -> Iterator[Finding]:
    """`interlocks.reachable`: a rule can be violated at all, and an inhibit gates something."""
    trusted = _trusted(plan)
    for written in _written(plan):
        rule = written.rule
        if rule.severity == "inhibit" and not rule.gates:
            message = f"{rule.id} inhibits nothing: it has no gates"
            yield written.mark("id").finding("interlocks.reachable", message, Severity.WARNING)
        for node in walk(rule.require.tree):
            beyond = _beyond(node, trusted) if isinstance(node, Binary) else ""
            if beyond:
                text = f"{rule.id} can never be violated: {beyond}"
                mark = written.mark("require")
                yield mark.finding("interlocks.reachable", text, Severity.WARNING)


def action(plan: Plan) -> Iterator[Finding]:
    """`interlocks.action`: what is done besides is one of the actions that there are."""
    outputs = _coils(plan)
    devices = set(plan.rig.model.devices)
    for written in _written(plan):
        verb, _, name = written.rule.action.partition(" ")
        known = {"close": outputs, "stop": devices}.get(verb, set())
        if written.rule.action in {"", "heater off", "shut vacuum"} or name in known:
            continue
        message = (
            f"{written.rule.id}: {written.rule.action!r} is none of heater off, shut vacuum, "
            f"close VALVE, stop PUMP{nearest(name, outputs | devices)}"
        )
        yield written.mark("action").finding("interlocks.action", message)


def same_id(plan: Plan) -> Iterator[Finding]:
    """`interlocks.same_id`: no two interlocks of rig and recipe bear the same id."""
    seen: set[str] = set()
    for written in _written(plan):
        if written.rule.id in seen:
            message = f"there is another interlock {written.rule.id!r}; a recipe adds, never alters"
            yield written.mark("id").finding("interlocks.same_id", message)
        seen.add(written.rule.id)


def _written(plan: Plan) -> Iterator[_Written]:
    rig, recipe = plan.rig, plan.recipe
    for n, rule in enumerate(rig.model.interlocks):
        yield _Written(rule, rig.document, n)
    for n, rule in enumerate(recipe.head.interlocks):
        yield _Written(rule, recipe.document, n)


def _tripped_by(plan: Plan, device: str) -> bool:
    read = {name for name, _, by in signals_of(plan.rig) if by == device}
    return any(
        read & set(names_in(written.rule.require.tree))
        for written in _written(plan)
        if written.rule.severity == "trip"
    )


def _gated(plan: Plan) -> set[str]:
    inhibits = [w.rule for w in _written(plan) if w.rule.severity == "inhibit"]
    return {gate for rule in inhibits for gate in rule.gates}


def _at_device(plan: Plan, name: str, rule: str, message: str) -> Finding:
    mark = plan.rig.document.key_mark(("devices", name))
    return mark.finding(rule, message, Severity.WARNING)


def _wrong_call(call: Call) -> str:
    if call.function not in FUNCTIONS:
        return f"there is no function {call.function!r}{nearest(call.function, FUNCTIONS)}"
    known = WORDS.get(call.function)
    for part in call.arguments if known else ():
        word = part.name if isinstance(part, Name) else "?"
        if known and word not in known:
            return f"{call.function} knows no {word!r}{nearest(word, known)}"
    if call.function in {*WORDS, *VALVE_FUNCTIONS, "age"} and not call.arguments:
        return f"{call.function}() of what?"
    return ""


def _trusted(plan: Plan) -> dict[str, tuple[float, float]]:
    """Return between what each signal is trusted: beyond, its end stands for it."""
    found: dict[str, tuple[float, float]] = {}
    model = plan.rig.model
    for name, entry in model.devices.items():
        if isinstance(entry, GaugeEntry):
            found |= {f"{name}.{part}": place.trust for part, place in entry.channels.items()}
        probe = entry.probe if isinstance(entry, HeaterEntry) else None
        if probe is not None and probe.max is not None:
            found |= {f"{name}.pv": (-273.15, probe.max)}
    for signal, reference in model.signals.items():
        device, _, part = reference.partition(".")
        heats = isinstance(model.devices[device], HeaterEntry)
        source = f"{device}.{part or ('pv' if heats else '')}"
        if source in found:
            found[signal] = found[source]
    return found


def _beyond(node: Binary, trusted: dict[str, tuple[float, float]]) -> str:
    """Say why a comparison with a constant always holds, or nothing."""
    name, limit = node.left, node.right
    if not (isinstance(name, Name) and isinstance(limit, Number) and name.name in trusted):
        return ""
    low, high = trusted[name.name]
    if node.operator in {"<", "<="} and limit.value > high:
        return f"{name.name} is read up to {high:g}, and the limit is {limit.text}"
    if node.operator in {">", ">="} and limit.value < low:
        return f"{name.name} is read from {low:g} on, and the limit is {limit.text}"
    return ""


def _coils(plan: Plan) -> set[str]:
    boards = [e for e in plan.rig.model.devices.values() if isinstance(e, RelayEntry)]
    return {coil for board in boards for coil in board.coils}
