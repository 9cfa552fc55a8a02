"""When faults begin and end: at the start, a stage or a step, after a delay, for a time."""

from __future__ import annotations

from dataclasses import dataclass

from labctl.errors import UnknownNameError, UsageError
from labctl.twin import FaultSeen, TwinFault, stream
from simulators.faults.kind import FLASK, Acts, Bench, FaultKind, Site

_NS = 1_000_000_000


@dataclass
class _Armed:
    """One fault with its times; `running` while it is at work."""

    fault: TwinFault
    kind: FaultKind
    site: Site
    due_ns: int | None
    ends_ns: int | None = None
    began_ns: int | None = None
    ended_ns: int | None = None
    running: Acts | None = None

    def bring_to(self, t_ns: int) -> None:
        """Begin or end, if it is time."""
        self.site.t_ns = t_ns
        if self.began_ns is None and self.due_ns is not None and self.due_ns <= t_ns:
            self.began_ns = t_ns
            if self.fault.duration_s is not None:
                self.ends_ns = self.due_ns + round(self.fault.duration_s * _NS)
            self.running = self.kind.acts(self.site)
            next(self.running)
        if self.running is not None and self.ends_ns is not None and self.ends_ns <= t_ns:
            self.running.close()
            self.running, self.ended_ns = None, t_ns


class Faults:
    """All faults of a world; the world tells the time and what begins."""

    def __init__(self, bench: Bench, kinds: dict[str, FaultKind]) -> None:
        self._bench = bench
        self._armed = [self._arm(n, fault, kinds) for n, fault in enumerate(bench.spec.faults)]

    def bring_to(self, t_ns: int) -> None:
        """Begin and end what is due."""
        for row in self._armed:
            row.bring_to(t_ns)

    def tick(self, t_ns: int) -> None:
        """Begin and end what is due, and let what runs go on."""
        for row in self._armed:
            row.bring_to(t_ns)
            if row.running is not None:
                next(row.running)

    def began(self, anchor: str, t_ns: int) -> None:
        """Hear that a stage or step begins; only its first beginning counts."""
        for row in self._armed:
            if row.fault.anchor == anchor and row.due_ns is None:
                row.due_ns = t_ns + round(row.fault.delay_s * _NS)
        self.bring_to(t_ns)

    def seen(self) -> tuple[FaultSeen, ...]:
        """Return what became of each."""
        return tuple(
            FaultSeen(row.fault.text, row.began_ns, row.ended_ns, row.site.acted)
            for row in self._armed
        )

    def _arm(self, n: int, fault: TwinFault, kinds: dict[str, FaultKind]) -> _Armed:
        """Check that a fault fits what it is aimed at.

        Raises:
            UnknownNameError: no such fault, or no such target.
            UsageError: the fault does nothing to that target.
        """
        if fault.name not in kinds:
            raise UnknownNameError("fault", fault.name, kinds)
        kind = kinds[fault.name]
        known = {FLASK, *self._bench.cables, *self._bench.devices}
        if fault.target not in known:
            raise UnknownNameError(
                "target of a fault, device, port or vessel,", fault.target, known
            )
        if not kind.fits(self._bench, fault):
            targets = sorted(name for name in known if kind.fits(self._bench, _aimed(fault, name)))
            takes = f"here: {', '.join(targets)}" if targets else "this rig has none"
            raise UsageError(
                f"fault {fault.name} does nothing to {fault.target!r}; it takes "
                f"{kind.listing.targets}; {takes}"
            )
        site = Site(self._bench, fault, stream(self._bench.spec.seed, f"fault.{n}.{fault.name}"))
        return _Armed(fault, kind, site, None if fault.anchor else round(fault.delay_s * _NS))


def _aimed(fault: TwinFault, target: str) -> TwinFault:
    return TwinFault(fault.name, target, fault.arguments)
