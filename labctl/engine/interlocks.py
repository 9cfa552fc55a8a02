"""Interlocks: compiled once, evaluated on samples and at deadlines, asked again at the wire.

Three-valued, and unknown counts as violated: a signal that is bad, too old or never read cannot
satisfy a rule. An inhibit judges the state that its command would produce.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from labctl.clock import NS, Clock, Priority
from labctl.engine.signals import Signals
from labctl.errors import StepFailedError
from labctl.expressions import Call, Evaluate, Name, Tree, Value, compile_tree, names_in
from labctl.rules import Interlock


class Facts(Protocol):
    """What interlocks may know besides readings."""

    @property
    def ambient_mbar(self) -> float:
        """The ambient pressure read at start."""
        ...

    def commanded(self, output: str) -> bool | None:
        """Return the commanded state of an output."""
        ...

    def attended(self) -> bool:
        """Say whether somebody is at the rig now."""
        ...

    def trap_cold(self) -> bool | None:
        """Return the last answer on the trap while it is valid."""
        ...

    def keep_at_c(self, pump: str) -> float | None:
        """Return the temperature at which the reagent of a pump must be kept."""
        ...

    def signatures(self, pump: str) -> int:
        """Count the names that signed for the reagent of a pump in this run."""
        ...

    def token(self, kind: str) -> bool:
        """Say whether a disturbance of a kind is expected now."""
        ...


@dataclass
class Rule:
    """A compiled interlock and what it remembers."""

    source: Interlock
    require: Evaluate
    when: Evaluate | None
    unless: Evaluate | None
    signals: tuple[str, ...]
    violated_ns: int | None = None
    told: bool = False
    age_of: tuple[str, ...] = ()
    oldest_ns: int | None = None


Told = Callable[[Interlock, str], None]


@dataclass
class Interlocks:
    """All rules of a run; `violated` is told once per violation, `cleared` when it is over."""

    signals: Signals
    facts: Facts
    clock: Clock
    violated: Told
    cleared: Told
    rules: list[Rule] = field(default_factory=list)
    _by_signal: dict[str, list[Rule]] = field(default_factory=dict)
    _gates: dict[str, list[Rule]] = field(default_factory=dict)
    _gated: str = ""

    def add(self, interlocks: Iterable[Interlock], aliases: Mapping[str, str]) -> None:
        """Compile rules; `aliases` maps a device's reading to the signal's name."""
        for interlock in interlocks:
            rule = self._compile(interlock, aliases)
            self.rules.append(rule)
            if interlock.severity == "inhibit":
                for gate in interlock.gates:
                    self._gates.setdefault(gate, []).append(rule)
                continue
            for signal in rule.signals:
                self._by_signal.setdefault(signal, []).append(rule)

    def rules_on(self, signals: Iterable[str]) -> tuple[Rule, ...]:
        """Return the rules that read any of the signals, each once, in order."""
        found = {id(rule): rule for s in signals for rule in self._by_signal.get(s, ())}
        return tuple(found.values())

    def sampled(self, rules: Iterable[Rule]) -> None:
        """Evaluate rules after a sample of one of their signals."""
        for rule in rules:
            self._judge(rule)

    async def watch(self, period_s: float = 1.0) -> None:
        """Evaluate rules whose signals grew too old or whose `for` runs, until cancelled.

        Nothing else can violate a rule between samples, so it sleeps to the earliest such deadline.
        """
        period_ns = round(period_s * NS)
        watched = [rule for rule in self.rules if rule.source.severity != "inhibit"]
        while True:
            now_ns = self.clock.now_ns()
            earliest_ns = min((self._deadline_ns(rule) for rule in watched), default=now_ns)
            due_ns = max(now_ns + period_ns, earliest_ns)
            await self.clock.sleep_until(due_ns, Priority.TRIP)
            due = [r for r in watched if r.violated_ns is not None or not self._fresh(r)]
            self.sampled(due)

    def _deadline_ns(self, rule: Rule) -> int:
        """Return when a rule must be looked at again even if no sample comes."""
        now_ns = self.clock.now_ns()
        if rule.violated_ns is not None or rule.oldest_ns is None:
            return now_ns
        ages = [self.signals.age_ns(signal) for signal in rule.age_of]
        oldest_ns = max((age for age in ages if age is not None), default=0)
        return now_ns + rule.oldest_ns - oldest_ns

    def gate(self, output: str) -> Callable[[], None] | None:
        """Return what is asked at the wire before an output opens, starts or rises."""
        rules = self._gates.get(output)
        if not rules:
            return None

        def ask() -> None:
            for rule in rules:
                self._gated = output
                try:
                    allowed = self._exempt(rule) or self._holds(rule)
                finally:
                    self._gated = ""
                if not allowed:
                    raise StepFailedError(f"{output} is inhibited: {self.reason(rule)}")

        return ask

    def stands(self, interlock: Interlock) -> bool:
        """Say whether a rule was told as violated and does not hold again yet."""
        return any(rule.told for rule in self.rules if rule.source is interlock)

    def asked_at(self, output: str) -> tuple[str, ...]:
        """Return the signals that are asked before an output opens."""
        return tuple(s for rule in self._gates.get(output, ()) for s in rule.signals)

    def reason(self, rule: Rule) -> str:
        """Say what a rule requires and what its signals read."""
        parts = []
        for name in rule.signals:
            value = self.signals.value(name)
            parts.append(f"{name} is unknown" if value is None else f"{name} is {value:.4g}")
        return f"{rule.source.id} requires {rule.source.require.text}; {', '.join(parts) or 'no'}"

    def _judge(self, rule: Rule) -> None:
        if self._exempt(rule) or self._holds(rule):
            if rule.told:
                self.cleared(rule.source, f"{rule.source.id} holds again")
            rule.violated_ns, rule.told = None, False
            return
        now_ns = self.clock.now_ns()
        if rule.violated_ns is None:
            rule.violated_ns = now_ns
        if not rule.told and now_ns - rule.violated_ns >= rule.source.for_ * NS:
            rule.told = True
            self.violated(rule.source, self.reason(rule))

    def _exempt(self, rule: Rule) -> bool:
        """A rule rests while `when` is known to be false or `unless` known to be true."""
        if rule.when is not None and rule.when() is False:
            return True
        return rule.unless is not None and rule.unless() is True

    def _holds(self, rule: Rule) -> bool:
        return self._fresh(rule) and bool(rule.require())

    def _fresh(self, rule: Rule) -> bool:
        if rule.oldest_ns is None:
            return True
        for signal in rule.age_of:
            age_ns = self.signals.age_ns(signal)
            if age_ns is None or age_ns > rule.oldest_ns:
                return False
        return True

    def _compile(self, interlock: Interlock, aliases: Mapping[str, str]) -> Rule:
        names: list[str] = []
        compiled: list[Evaluate | None] = []
        for condition in (interlock.require, interlock.when, interlock.unless):
            if condition is None:
                compiled.append(None)
                continue
            names += [aliases.get(name, name) for name in names_in(condition.tree)]
            compiled.append(compile_tree(condition.tree, Meaning(self, aliases)))
        require, when, unless = compiled
        read = tuple(dict.fromkeys(name for name in names if _is_reading(name)))
        required = [aliases.get(name, name) for name in names_in(interlock.require.tree)]
        age_of = tuple(name for name in dict.fromkeys(required) if _is_reading(name))
        oldest_ns = None if interlock.max_age is None else round(interlock.max_age * NS)
        return Rule(
            interlock,
            require or (lambda: None),
            when,
            unless,
            read,
            age_of=age_of,
            oldest_ns=oldest_ns,
        )


_SPECIAL = frozenset({"ambient", "site.attended", "trap.cold", "reagent.keep_at"})


def _is_reading(name: str) -> bool:
    return "." in name and name not in _SPECIAL


@dataclass
class Meaning:
    """What names and functions mean in an interlock (see `expressions.Environment`)."""

    owner: Interlocks
    aliases: Mapping[str, str]

    def name(self, name: str) -> Evaluate:
        """Return how to read a signal, or one of the facts, now."""
        facts, owner = self.owner.facts, self.owner
        special: dict[str, Evaluate] = {
            "ambient": lambda: facts.ambient_mbar,
            "site.attended": facts.attended,
            "trap.cold": facts.trap_cold,
            "reagent.keep_at": lambda: facts.keep_at_c(owner._gated),  # noqa: SLF001 - one unit
        }
        if name in special:
            return special[name]
        signal = self.aliases.get(name, name)
        value = owner.signals.value
        return lambda: value(signal)

    def call(self, call: Call, compile_: Callable[[Tree], Evaluate]) -> Evaluate:
        """Return how to evaluate a function."""
        words = [part.name if isinstance(part, Name) else "" for part in call.arguments]
        if call.function in {"open", "closed", "count_open"}:
            return self._valves(call.function, words)
        if call.function == "token":
            return lambda: self.owner.facts.token(words[0])
        if call.function == "confirmed":
            needed = compile_(call.arguments[0])
            return lambda: self._signed() >= (needed() or 0)
        if call.function == "age":
            signal = self.aliases.get(words[0], words[0])
            return lambda: _seconds(self.owner.signals.age_ns(signal))
        inner = [compile_(part) for part in call.arguments]
        return _NUMERIC.get(call.function, _unknown)(inner)

    def _signed(self) -> int:
        return self.owner.facts.signatures(self.owner._gated)  # noqa: SLF001 - one unit

    def _valves(self, function: str, words: list[str]) -> Evaluate:
        def evaluate() -> Value:
            gated = self.owner._gated  # noqa: SLF001 - one unit
            states = [True if word == gated else self.owner.facts.commanded(word) for word in words]
            if any(state is None for state in states):
                return None
            count = sum(bool(state) for state in states)
            if function == "count_open":
                return float(count)
            return count == len(words) if function == "open" else count == 0

        return evaluate


def _seconds(age_ns: int | None) -> float | None:
    return None if age_ns is None else age_ns / NS


def _abs(inner: list[Evaluate]) -> Evaluate:
    def evaluate() -> Value:
        value = inner[0]()
        return None if value is None else abs(value)

    return evaluate


def _max(inner: list[Evaluate]) -> Evaluate:
    def evaluate() -> Value:
        values = [part() for part in inner]
        return None if any(v is None for v in values) else max(v for v in values if v is not None)

    return evaluate


def _unknown(_: list[Evaluate]) -> Evaluate:
    return lambda: None


_NUMERIC: dict[str, Callable[[list[Evaluate]], Evaluate]] = {"abs": _abs, "max": _max}
