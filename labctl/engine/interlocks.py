"""Interlocks: compiled once, evaluated on samples and at deadlines, asked again at the wire.

Three-valued, and unknown counts as violated: a signal that is bad, too old or never read cannot
satisfy a rule. An inhibit judges the state that its command would produce. Where an instrument's
replies carry no checksum, a verdict changes only if the reading before says the same, so that one
flipped bit neither trips nor clears.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from labctl.clock import NS, Clock, Priority
from labctl.engine.meaning import Facts, Meaning
from labctl.engine.signals import Signals
from labctl.engine.windows import Window
from labctl.errors import StepFailedError
from labctl.expressions import Evaluate, compile_tree, names_in
from labctl.rules import Interlock

SECOND_READING_S = 5.0


@dataclass
class Rule:
    """A compiled interlock and what it remembers.

    `twice` are its signals that come without a checksum; `plain`: its verdict rests on what is now.
    `bad` is the last verdict, `looks` the last verdicts where k of n count, `begun_ns` and
    `applies_ns` since when it is judged and since when it applies.
    """

    source: Interlock
    require: Evaluate
    when: Evaluate | None
    unless: Evaluate | None
    signals: tuple[str, ...]
    age_of: tuple[str, ...] = ()
    oldest_ns: int | None = None
    windows: tuple[Window, ...] = ()
    twice: tuple[str, ...] = ()
    gated: bool = False
    for_ns: int = 0
    grace_ns: int = 0
    fills_ns: int = 0
    plain: bool = True
    bad: bool = False
    looks: deque[bool] | None = None
    violated_ns: int | None = None
    begun_ns: int | None = None
    applies_ns: int | None = None
    told: bool = False
    acknowledged: bool = False


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

    def add(
        self,
        interlocks: Iterable[Interlock],
        aliases: Mapping[str, str],
        unchecked: Collection[str] = (),
    ) -> None:
        """Compile rules.

        `aliases` maps a device's reading to the signal's name; `unchecked` are the signals whose
        instrument sends no checksum.
        """
        for interlock in interlocks:
            rule = self._compile(interlock, aliases, unchecked)
            self.rules.append(rule)
            if rule.gated:
                for gate in interlock.gates:
                    self._gates.setdefault(gate, []).append(rule)
            if not rule.gated or rule.windows:
                for signal in rule.signals:
                    self._by_signal.setdefault(signal, []).append(rule)

    def meaning(self, aliases: Mapping[str, str]) -> Meaning:
        """Return what names and functions mean in one condition."""
        return Meaning(self.signals, self.facts, aliases, lambda: self._gated)

    def rules_on(self, signals: Iterable[str]) -> tuple[Rule, ...]:
        """Return the rules that read any of the signals, each once, in order."""
        found = {id(rule): rule for s in signals for rule in self._by_signal.get(s, ())}
        return tuple(found.values())

    def sampled(self, rules: Iterable[Rule]) -> None:
        """Evaluate rules after a sample of one of their signals."""
        for rule in rules:
            for window in rule.windows:
                window.look()
            # Most rules hold, remember nothing, and go on holding.
            if rule.gated or (rule.plain and not rule.bad and not rule.told and self._fine(rule)):
                continue
            self._judge(rule, sample=True)

    async def watch(self, period_s: float = 1.0) -> None:
        """Evaluate rules whose signals grew too old or whose `for` runs, until cancelled.

        Nothing else can violate a rule between samples, so it sleeps to the earliest such deadline.
        """
        period_ns = round(period_s * NS)
        watched = [rule for rule in self.rules if not rule.gated]
        ageless = not watched or any(rule.oldest_ns is None for rule in watched)
        fresh = self.signals.fresh
        while True:
            due_ns = self.clock.now_ns() + period_ns
            if not ageless:  # a rule whose signals never grow too old is due in every period
                due_ns = max(due_ns, min(map(self._deadline_ns, watched)))
            await self.clock.sleep_until(due_ns, Priority.TRIP)
            for rule in watched:
                oldest_ns = rule.oldest_ns
                stale = oldest_ns is not None and not fresh(rule.age_of, oldest_ns)
                if stale or rule.violated_ns is not None:
                    self._judge(rule, sample=False)

    def gate(self, output: str) -> Callable[[], None] | None:
        """Return what is asked at the wire before an output opens, starts or rises."""
        rules = self._gates.get(output)
        if not rules:
            return None

        def ask() -> None:
            for rule in rules:
                self._gated = output
                try:
                    allowed = self._allows(rule)
                finally:
                    self._gated = ""
                if not allowed:
                    raise StepFailedError(f"{output} is inhibited: {self.reason(rule)}")

        return ask

    async def permit(self, output: str) -> Callable[[], None] | None:
        """Return an output's gate; where one reading alone allows it, once the next one is there.

        The gate is asked at the wire all the same.
        """
        end_ns = self.clock.now_ns() + round(SECOND_READING_S * NS)
        while self._awaits_second(output) and self.clock.now_ns() < end_ns:
            await self.clock.sleep_until(self.clock.now_ns() + NS // 4)
        return self.gate(output)

    def _awaits_second(self, output: str) -> bool:
        self._gated = output
        try:
            return any(
                rule.twice and self._fine(rule) and self._broke(rule, True)
                for rule in self._gates.get(output, ())
            )
        finally:
            self._gated = ""

    def stands(self, interlock: Interlock) -> bool:
        """Say whether a rule was told as violated and does not hold again yet."""
        return any(rule.told for rule in self.rules if rule.source is interlock)

    def acknowledge(self, id_: str) -> str:
        """Acknowledge what was told of a rule; return why not, or nothing.

        A latched rule that holds again is cleared by it; one that is still violated will be when
        it holds.
        """
        told = [rule for rule in self.rules if rule.told]
        found = [rule for rule in told if rule.source.id == id_]
        for rule in found:
            rule.acknowledged = True
            if rule.gated:
                rule.told = False
            else:
                self._judge(rule, sample=False)
        known = ", ".join(rule.source.id for rule in told) or "none"
        return "" if found else f"no interlock {id_!r} stands violated; standing: {known}"

    def asked_at(self, output: str) -> tuple[str, ...]:
        """Return the signals that are asked before an output opens."""
        return tuple(s for rule in self._gates.get(output, ()) for s in rule.signals)

    def reason(self, rule: Rule) -> str:
        """Say what a rule requires and what its signals read."""
        parts = []
        for name in rule.signals:
            value = self.signals.value(name)
            parts.append(f"{name} is unknown" if value is None else f"{name} is {value:.4g}")
        said = f"{rule.source.id} requires {rule.source.require.text}; {', '.join(parts) or 'no'}"
        latched = rule.source.latch and rule.told and not rule.bad
        return f"{said}; to be acknowledged" if latched else said

    def _allows(self, rule: Rule) -> bool:
        """Judge an inhibit; a latched one that refused once refuses until it is acknowledged."""
        for window in rule.windows:
            window.look()
        rule.bad = self._breaks(rule) or (bool(rule.twice) and self._broke(rule, True))
        if rule.source.latch and (rule.bad or rule.told):
            rule.told = True
            return False
        return not rule.bad

    def _deadline_ns(self, rule: Rule) -> int:
        """Return when a rule must be looked at again even if no sample comes."""
        now_ns = self.clock.now_ns()
        if rule.violated_ns is not None or rule.oldest_ns is None:
            return now_ns
        ages = [self.signals.age_ns(signal) for signal in rule.age_of]
        oldest_ns = max((age for age in ages if age is not None), default=0)
        return now_ns + rule.oldest_ns - oldest_ns

    def _judge(self, rule: Rule, *, sample: bool) -> None:
        bad = self._breaks(rule)
        if rule.twice and bad is not rule.bad and self._broke(rule, rule.bad) is not bad:
            bad = rule.bad
        rule.bad = bad
        if (rule.grace_ns or rule.fills_ns) and self._in_grace(rule):
            bad = False
        if rule.looks is not None:
            bad = self._often(rule, bad, sample=sample)
        if bad:
            self._is_violated(rule)
        elif rule.violated_ns is not None or rule.told:
            self._holds_again(rule)

    def _is_violated(self, rule: Rule) -> None:
        now_ns = self.clock.now_ns()
        if rule.violated_ns is None:
            rule.violated_ns = now_ns
        if not rule.told and now_ns - rule.violated_ns >= rule.for_ns:
            rule.told, rule.acknowledged = True, False
            self.violated(rule.source, self.reason(rule))

    def _holds_again(self, rule: Rule) -> None:
        rule.violated_ns = None
        if rule.told and (rule.acknowledged or not rule.source.latch):
            rule.told = False
            self.cleared(rule.source, f"{rule.source.id} holds again")

    def _often(self, rule: Rule, bad: bool, *, sample: bool) -> bool:
        """Count the violated among the last n looks; a signal that is too old is a look, too."""
        looks = rule.looks if rule.looks is not None else deque[bool]()
        if sample or (bad and not self._fresh(rule)):
            looks.append(bad)
        return sum(looks) >= rule.source.for_.count

    def _in_grace(self, rule: Rule) -> bool:
        """A rule rests while its windows fill at first, and whenever it begins to apply."""
        now_ns = self.clock.now_ns()
        if rule.begun_ns is None:
            rule.begun_ns = now_ns
        if now_ns < rule.begun_ns + rule.fills_ns:
            return True
        rule.fills_ns = 0
        if not rule.grace_ns:
            rule.plain = rule.looks is None
            return False
        if self._rests(rule):
            rule.applies_ns = None
            return False
        if rule.applies_ns is None:
            rule.applies_ns = now_ns
        return now_ns < rule.applies_ns + rule.grace_ns

    def _breaks(self, rule: Rule) -> bool:
        return not self._fine(rule)

    def _fine(self, rule: Rule) -> bool:
        if rule.when is not None and rule.when() is False:
            return True
        if rule.unless is not None and rule.unless() is True:
            return True
        return (rule.oldest_ns is None or self._fresh(rule)) and bool(rule.require())

    def _broke(self, rule: Rule, unread: bool) -> bool:
        """Judge by the reading before, where one without a checksum is the latest.

        `unread` is the verdict where there is none before.
        """
        before = self.signals.before
        if any(signal not in before for signal in rule.twice):
            return unread
        if self._silent(rule):
            return True
        self.signals.looks_back = True
        try:
            return self._breaks(rule)
        finally:
            self.signals.looks_back = False

    def _rests(self, rule: Rule) -> bool:
        """A rule rests while `when` is known to be false or `unless` known to be true."""
        if rule.when is not None and rule.when() is False:
            return True
        return rule.unless is not None and rule.unless() is True

    def _silent(self, rule: Rule) -> bool:
        """Say whether nothing was read for too long, not even in vain; that is no flipped bit."""
        if rule.oldest_ns is None:
            return False
        read = [self.signals.latest.get(signal) for signal in rule.age_of]
        first_ns = self.clock.now_ns() - rule.oldest_ns
        return any(reading is None or reading.t_ns < first_ns for reading in read)

    def _fresh(self, rule: Rule) -> bool:
        """Say whether what a rule requires is young enough; looking back, whether it was known."""
        return rule.oldest_ns is None or self.signals.fresh(rule.age_of, rule.oldest_ns)

    def _compile(
        self, interlock: Interlock, aliases: Mapping[str, str], unchecked: Collection[str]
    ) -> Rule:
        meaning = self.meaning(aliases)
        names: list[str] = []
        compiled: list[Evaluate | None] = []
        for condition in (interlock.require, interlock.when, interlock.unless):
            if condition is None:
                compiled.append(None)
                continue
            names += [aliases.get(name, name) for name in names_in(condition.tree)]
            compiled.append(compile_tree(condition.tree, meaning))
        require, when, unless = compiled
        read = tuple(dict.fromkeys(name for name in names if _is_reading(name)))
        required = [aliases.get(name, name) for name in names_in(interlock.require.tree)]
        longest_s = max((window.length_s for window in meaning.windows), default=0.0)
        often = interlock.for_.of > 1
        return Rule(
            interlock,
            require or (lambda: None),
            when,
            unless,
            read,
            age_of=tuple(name for name in dict.fromkeys(required) if _is_reading(name)),
            oldest_ns=None if interlock.max_age is None else round(interlock.max_age * NS),
            windows=tuple(meaning.windows),
            twice=tuple(signal for signal in read if signal in unchecked),
            gated=interlock.severity == "inhibit",
            plain=not (often or interlock.grace or longest_s),
            for_ns=round(interlock.for_.seconds * NS),
            grace_ns=round(interlock.grace * NS),
            fills_ns=round(longest_s * NS),
            looks=deque(maxlen=interlock.for_.of) if often else None,
        )


_SPECIAL = frozenset({"ambient", "site.attended", "trap.cold", "reagent.keep_at"})


def _is_reading(name: str) -> bool:
    return "." in name and name not in _SPECIAL
