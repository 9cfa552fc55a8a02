"""What names and functions mean in an interlock (see `expressions.Environment`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from labctl.clock import NS
from labctl.engine.signals import Signals
from labctl.engine.windows import Window
from labctl.expressions import Call, Evaluate, Name, Number, Tree, Value

VALVES = frozenset({"open", "closed", "count_open"})


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

    def state(self) -> str:
        """Return the run's state, in its word."""
        ...


@dataclass
class Meaning:
    """The environment of one rule; `windows` fill as its functions are compiled.

    `gated` gives the output that an inhibit judges now: its command would open or start it.
    """

    signals: Signals
    facts: Facts
    aliases: Mapping[str, str]
    gated: Callable[[], str]
    windows: list[Window] = field(default_factory=list)

    def name(self, name: str) -> Evaluate:
        """Return how to read a signal, or one of the facts, now."""
        facts, gated = self.facts, self.gated
        special: dict[str, Evaluate] = {
            "ambient": lambda: facts.ambient_mbar,
            "site.attended": facts.attended,
            "trap.cold": facts.trap_cold,
            "reagent.keep_at": lambda: facts.keep_at_c(gated()),
        }
        if name in special:
            return special[name]
        return partial(self.signals.value, self._signal(name))

    def call(self, call: Call, compile_: Callable[[Tree], Evaluate]) -> Evaluate:
        """Return how to evaluate a function."""
        words = [part.name if isinstance(part, Name) else "" for part in call.arguments]
        if call.function in VALVES:
            return self._valves(call.function, words)
        told = self._told(call, words, compile_)
        if told is not None:
            return told
        windowed = self._windowed(call, words)
        if windowed is not None:
            return windowed
        inner = [compile_(part) for part in call.arguments]
        return _NUMERIC.get(call.function, _unknown)(inner)

    def _told(
        self, call: Call, words: list[str], compile_: Callable[[Tree], Evaluate]
    ) -> Evaluate | None:
        """Functions of what is known besides values: tokens, the run's state, signatures, ages."""
        facts, gated = self.facts, self.gated
        if call.function == "token":
            return lambda: facts.token(words[0])
        if call.function == "state":
            return lambda: facts.state() in words
        if call.function == "confirmed":
            needed = compile_(call.arguments[0])
            return lambda: facts.signatures(gated()) >= (needed() or 0)
        if call.function == "age":
            signal, age_ns = self._signal(words[0]), self.signals.age_ns
            return lambda: _seconds(age_ns(signal))
        return None

    def _windowed(self, call: Call, words: list[str]) -> Evaluate | None:
        """`rate(x, 60 s)` in units per min, `max(x, 5 s)`, `stable(x, 0.5 K, 120 s)`."""
        length_s = window_of(call)
        if length_s is None:
            return None
        window = Window(self.signals, self._signal(words[0]), length_s)
        self.windows.append(window)
        if call.function == "rate":
            return window.per_min
        if call.function == "max":
            return window.highest
        spread = call.arguments[1]
        within = spread.value if isinstance(spread, Number) else 0.0
        return lambda: window.within(within)

    def _signal(self, name: str) -> str:
        return self.aliases.get(name, name)

    def _valves(self, function: str, words: list[str]) -> Evaluate:
        commanded, gated_now = self.facts.commanded, self.gated

        def evaluate() -> Value:
            gated = gated_now()
            states = [True if word == gated else commanded(word) for word in words]
            if any(state is None for state in states):
                return None
            count = sum(bool(state) for state in states)
            if function == "count_open":
                return float(count)
            return count == len(words) if function == "open" else count == 0

        return evaluate


def window_of(call: Call) -> float | None:
    """Return over how many s a function looks back; None where it looks at now only."""
    if call.function not in {"rate", "stable", "max"} or not call.arguments:
        return None
    last = call.arguments[-1]
    return last.value if isinstance(last, Number) and last.dimension == "time" else None


def _seconds(age_ns: int | None) -> float | None:
    return None if age_ns is None else age_ns / NS


def _abs(inner: list[Evaluate]) -> Evaluate:
    (only,) = inner

    def evaluate() -> Value:
        value = only()
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
