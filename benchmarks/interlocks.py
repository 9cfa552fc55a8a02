"""What interlocks cost: µs per sample with a set of 40 rules, and per rule that is judged.

`python -m benchmarks.interlocks`. Samples come in the order of a poll over 40 channels, one rule on
each on average, in the proportions of the shipped rig (half of them inhibits, which no sample
judges). The peer is the same set evaluated without
the index: every rule after every sample.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from labctl.clock import NS, VirtualClock, cpu_s
from labctl.engine.interlocks import Interlocks
from labctl.engine.signals import Signals
from labctl.loop import VirtualLoop
from labctl.readings import Quality, Reading
from labctl.rules import Interlock

CHANNELS = 40
ROUNDS = 10_000
PEER_ROUNDS = 500


class Facts:
    """A rig at rest."""

    ambient_mbar = 1005.0

    def commanded(self, output: str) -> bool | None:
        """Everything is shut."""
        return False

    def attended(self) -> bool:
        """Somebody is there."""
        return True

    def trap_cold(self) -> bool | None:
        """The trap is cold."""
        return True

    def keep_at_c(self, pump: str) -> float | None:
        """Nothing must be kept warm."""
        return None

    def signatures(self, pump: str) -> int:
        """Nobody signed."""
        return 0

    def token(self, kind: str) -> bool:
        """Nothing is expected."""
        return False

    def state(self) -> str:
        """The run goes on."""
        return "running"


def rules() -> Iterator[Interlock]:
    """Yield 40 rules in the proportions of the shipped rig: every other one is an inhibit.

    Two of the seven kinds that samples are judged by look back, at 60 s and at 5 samples.
    """
    judged = (
        {"severity": "trip", "require": "{x} < 345 C", "max_age": "5 s", "for": "2 s"},
        {"severity": "trip", "require": "abs({x} - {y}) < 8 K", "max_age": "5 s",
         "when": "{x} > 60 C", "unless": "token(injection) or token(quench)"},
        {"severity": "trip", "require": "{x} < ambient + 60 mbar", "max_age": "3 s", "for": "1 s"},
        {"severity": "freeze", "require": "{x} < 500", "max_age": "5 s",
         "when": "open(fine) and trap.cold", "for": "60 s"},
        {"severity": "freeze", "require": "{x}", "max_age": "5 s", "for": "3 of 5 samples"},
        {"severity": "warn", "require": "rate({x}, 60 s) < 20 K/min", "max_age": "5 s"},
        {"severity": "trip", "require": "{x} < 105 C", "max_age": "10 s", "for": "5 s"},
    )  # fmt: skip
    inhibit = {"severity": "inhibit", "require": "{x} > 1", "gates": ["pump"]}
    kinds = [kind for pair in zip(judged, [inhibit] * len(judged), strict=True) for kind in pair]
    for n in range(CHANNELS):
        kind = dict(kinds[n % len(kinds)])
        kind["require"] = str(kind["require"]).format(x=f"d.c{n}", y=f"d.c{(n + 1) % CHANNELS}")
        if "when" in kind:
            kind["when"] = str(kind["when"]).format(x=f"d.c{n}")
        yield Interlock.model_validate({"id": f"r{n}", **kind})


def measure() -> tuple[float, float, float]:
    """Return µs per sample, µs per rule judged, and µs per sample of the peer."""
    loop = VirtualLoop()
    clock = VirtualClock(loop, dt.datetime(2025, 11, 3, 9))
    signals = Signals(clock)
    locks = Interlocks(signals, Facts(), clock, lambda *_: None, lambda *_: None)
    locks.add(rules(), {})
    names = [f"d.c{n}" for n in range(CHANNELS)]
    judged = [locks.rules_on([name]) for name in names]

    def rounds(count: int, *, indexed: bool, evaluated: bool) -> float:
        begin_s = cpu_s()
        for _ in range(count):
            loop._now_ns += NS  # noqa: SLF001 - the benchmark moves time
            now_ns = loop._now_ns  # noqa: SLF001 - the benchmark moves time
            for name, some in zip(names, judged, strict=True):
                signals.latest[name] = Reading(name, 100.0, Quality.GOOD, now_ns)
                if evaluated:
                    locks.sampled(some if indexed else locks.rules)
        return (cpu_s() - begin_s) / (count * CHANNELS) * 1e6

    rounds(100, indexed=True, evaluated=True)
    bare = rounds(ROUNDS, indexed=True, evaluated=False)
    ours = min(rounds(ROUNDS, indexed=True, evaluated=True) for _ in range(3)) - bare
    peer = rounds(PEER_ROUNDS, indexed=False, evaluated=True) - bare
    loop.close()
    return ours, ours * CHANNELS / sum(map(len, judged)), peer


def main() -> None:
    """Print the figures."""
    ours, per_rule, peer = measure()
    print(f"40 rules on 40 channels: {ours:.2f} µs per sample, {per_rule:.2f} µs per rule judged")
    print(f"without the index:       {peer:.2f} µs per sample, ratio {peer / ours:.0f}")


if __name__ == "__main__":
    main()
