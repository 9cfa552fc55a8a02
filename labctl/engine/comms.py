"""What the run does when an instrument falls silent, at the time that its policy says.

A reply that was lost is no lost instrument: two polls in a row must have failed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from labctl.clock import NS, Priority
from labctl.engine.poller import Polled, Poller
from labctl.engine.run import Run
from labctl.errors import DeviceError
from labctl.rig.comms import CommsPolicy, policy_of
from labctl.rules import Interlock, Severity, built_in

LOOK_NS = NS // 4
FAILED_POLLS = 2
HOT_C = 60.0
SEVERITY: dict[str, Severity] = {"safe state": "trip", "freeze": "freeze", "shut vacuum": "freeze"}

Told = Callable[[Interlock, str], None]


@dataclass
class _Silent:
    """One silent instrument: its policy, and how far it has been acted on."""

    policy: CommsPolicy
    degraded: bool = False
    lost: bool = False
    rule: Interlock | None = None


class Comms:
    """Watches over silence; `violated` is told of what trips or freezes, `cleared` of its end."""

    def __init__(self, run: Run, poller: Poller, violated: Told, cleared: Told) -> None:
        self._run = run
        self._poller = poller
        self._violated = violated
        self._cleared = cleared
        self._silent: dict[str, _Silent] = {}
        self._woken = asyncio.Event()
        self._unplugged = asyncio.Event()
        self._why: dict[str, str] = {}

    def fell_silent(self, name: str) -> None:
        """Begin to watch an instrument that did not answer."""
        self._silent[name] = _Silent(policy_of(self._run.plan.rig, name))
        self._woken.set()
        if self._lost_ports():
            self._unplugged.set()

    def answers(self, name: str) -> None:
        """End the watch over an instrument that answers again."""
        found = self._silent.pop(name, None)
        if found is not None and found.rule is not None:
            self._cleared(found.rule, f"{name} answers again")

    async def watch(self) -> None:
        """Act on silence until cancelled; while all answer, nothing is done."""
        clock = self._run.clock
        while True:
            await self._woken.wait()
            self._woken.clear()
            while any(not row.lost for row in self._silent.values()):
                for name, row in tuple(self._silent.items()):
                    self._look(name, row)
                await clock.sleep_until(clock.now_ns() + LOOK_NS, Priority.TRIP)

    async def reopen(self) -> None:
        """Open lost ports again as soon as they are back, until cancelled."""
        run = self._run
        while True:
            await self._unplugged.wait()
            self._unplugged.clear()
            while lost := self._lost_ports():
                for port in lost:
                    await self._reopen(port)
                await run.clock.sleep_until(run.clock.now_ns() + NS)

    async def _reopen(self, port: str) -> None:
        try:
            await self._run.rig.reopen(port)
        except DeviceError as error:
            if self._why.get(port) != str(error):
                self._run.event("port.lost", str(error), {"port": port}, "warning")
            self._why[port] = str(error)
        else:
            self._why.pop(port, None)
            message = f"port {port} is open again, and the same instruments answer"
            self._run.event("port.reopened", message, {"port": port})

    def _lost_ports(self) -> list[str]:
        return [name for name, port in self._run.rig.ports.items() if port.lost]

    def _look(self, name: str, row: _Silent) -> None:
        polled = self._poller.polled(name)
        since_s = (self._run.clock.now_ns() - polled.answered_ns) / NS
        if not row.degraded and since_s >= row.policy.degraded_s:
            row.degraded = True
            message = f"{name} has not answered for {since_s:.1f} s"
            self._run.event("device.degraded", message, {"device": name}, "warning")
        if not row.lost and is_lost(polled, row.policy, self._run.clock.now_ns()):
            row.lost = True
            self._lost(name, row, since_s)

    def _lost(self, name: str, row: _Silent, since_s: float) -> None:
        message = f"{name} is lost: no answer for {since_s:.1f} s"
        self._run.event("device.lost", message, {"device": name}, "error")
        severity = SEVERITY.get(row.policy.on_lost)
        if severity is None:
            return
        shut = row.policy.on_lost == "shut vacuum" and self._pumps_hot()
        row.rule = built_in(
            f"lost_{name}",
            severity,
            f"{name} to answer within {row.policy.lost_s:g} s",
            "shut vacuum" if shut else "",
        )
        self._violated(row.rule, message)

    def _pumps_hot(self) -> bool:
        """Say whether a flask that is hot, or may be, is being pumped on."""
        run = self._run
        pumped = any(run.commanded.get(valve) for valve in ("vac_rough", "vac_fine"))
        at_c = run.signals.value("flask.T")
        return pumped and (at_c is None or at_c > HOT_C)


def is_lost(polled: Polled, policy: CommsPolicy, now_ns: int) -> bool:
    """Say whether an instrument is lost: silent for long enough, and asked often enough."""
    silent_ns = now_ns - polled.answered_ns
    return polled.failed >= FAILED_POLLS and silent_ns >= policy.lost_s * NS
