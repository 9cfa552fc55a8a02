"""What each action of a safe-state sequence says to the instruments of a rig.

An action returns when what it did was read back; one that cannot be done raises, and the sequence
goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import replace

from labctl.clock import NS
from labctl.engine.run import Run
from labctl.engine.sequences import (
    ABORT,
    BY_HAND_S,
    COMPLETE,
    STILL,
    SUCK_BACK,
    Action,
    Do,
    Sequencer,
)
from labctl.errors import DeviceError, StepFailedError
from labctl.recipe.steps.base import Step, flattened
from labctl.rig.devices import FlowEntry, PumpEntry

__all__ = ["ABORT", "COMPLETE", "STILL", "SafeState", "at_the_end", "may_skip"]

COLD_C = 40.0
DEEP_MBAR = 300.0
VACUUM_MBAR = 100.0
VENTS_MBAR = 20.0
LOOK_S = 5.0
FALLS_FRACTION, FALLS_MBAR = 0.1, 0.5
PULSE_S, REST_S, MOST_PULSES = 0.2, 0.8, 36
VACUUM = ("vac_fine", "vac_rough")


class SafeState(Sequencer):
    """Runs sequences on a rig; `cut` opens the heater's contactor where there is a guard."""

    def __init__(self, run: Run, cut: Callable[[], None] | None = None) -> None:
        self._run = run
        self._cut = cut
        self._shut = True
        self._was_deep = False
        do: Mapping[str, Do] = {
            "heater": run.heat.make_safe,
            "contactor": self._contactor,
            "pumps": self._pumps,
            "laser": self._laser,
            "stir": run.stirring.again,
            "vacuum": self._vacuum,
            "rise": self._rise,
            "inert": self._inert,
            "flood": self._flood,
            "shut_in": self._shut_in,
            "flow": self._flow,
            "mantle": self._mantle,
            "rough": self._rough,
            "fine": self._fine,
            "warm": self._warm,
            "alarm": self._alarm,
        }
        super().__init__(run, "safe_state", do)

    def want(self, sequence: Sequence[Action]) -> None:
        """Add what a sequence has that concerns this rig and is neither done nor waiting."""
        absent = {
            "flow": not self._flows(),
            "contactor": self._cut is None,
            "alarm": not self._run.rig.has("beacon"),
            "stir": not self._run.stirring.on,
            "rise": not self._evacuated(),
        }
        present = [action for action in sequence if not absent.get(action.key, False)]
        if self._run.rig.by_person("manifold"):
            present = [_patient(action) for action in present]
        super().want(present)

    def _evacuated(self) -> bool:
        """Whether the flask is open to a vacuum, or stands under one."""
        run = self._run
        now_mbar = run.signals.value("flask.P")
        low = now_mbar is not None and now_mbar < run.ambient_mbar - VACUUM_MBAR
        return low or any(run.commanded.get(valve) for valve in VACUUM)

    async def _contactor(self) -> None:
        if self._cut is not None:
            self._cut()

    async def _pumps(self) -> None:
        """Stop every pump and shut its line; one that fails keeps no other waiting.

        Raises:
            StepFailedError: one of them did not confirm.
        """
        run = self._run
        pumps = [n for n, e in run.plan.rig.model.devices.items() if isinstance(e, PumpEntry)]
        lines = [load.valve for load in run.plan.scene.loads.values() if load.valve]
        stopped = _all(run.rig.devices[name].make_safe() for name in pumps)
        shut = _in_turn(*(self._valve(line, open_=False) for line in lines))
        await _in_turn(stopped, shut)

    async def _laser(self) -> None:
        if self._run.rig.laser is not None:
            await self._run.rig.laser.make_safe()

    async def _vacuum(self) -> None:
        self._shut, self._was_deep = False, self._evacuated()
        await _in_turn(*(self._valve(valve, open_=False) for valve in VACUUM))
        self._shut = True

    async def _rise(self) -> None:
        """See that the pressure falls no more behind the shut valves.

        Raises:
            StepFailedError: it still falls, so that a valve is not shut.
        """
        run = self._run
        before = run.signals.value("flask.P")
        await run.clock.sleep_until(run.clock.now_ns() + round(LOOK_S * NS))
        after = run.signals.value("flask.P")
        if before is None or after is None:
            raise StepFailedError("the flask's pressure is not read")
        if after < before * (1 - FALLS_FRACTION) - FALLS_MBAR:
            self._shut = False
            fell = f"the flask fell from {before:.3g} to {after:.3g} mbar"
            raise StepFailedError(f"{fell}: a vacuum valve is open")
        rate = (after - before) * 60 / LOOK_S
        run.event("safe_state.rise", f"behind shut valves the flask rises {rate:.3g} mbar/min")

    async def _inert(self) -> None:
        """Let in inert gas: from a vacuum in short pulses, so that it rises below 50 mbar/s."""
        self._check_gas()
        pulses = 0
        while self._deep() and pulses < MOST_PULSES:
            pulses += 1
            await self._valve("n2", open_=True)
            await self._sleep(PULSE_S)
            await self._valve("n2", open_=False)
            await self._sleep(REST_S)
        await self._valve("n2", open_=True)

    async def _flood(self) -> None:
        self._check_gas()
        await self._valve("n2", open_=True)

    def _check_gas(self) -> None:
        """Raise where inert gas must not come in.

        Raises:
            StepFailedError: a vacuum valve may be open, or the supply is gone.
        """
        run = self._run
        if not self._shut:
            raise StepFailedError("not let in: the vacuum valves are not seen to be shut")
        now_mbar = run.signals.value("flask.P")
        vents = now_mbar is not None and now_mbar > run.ambient_mbar + VENTS_MBAR
        if self.done("shut_in") and not vents:
            raise StepFailedError("not opened: its supply is gone")

    def _deep(self) -> bool:
        run = self._run
        if run.rig.by_person("manifold"):
            return False
        now_mbar = run.signals.value("flask.P")
        if now_mbar is None:
            return self._was_deep
        return now_mbar < run.ambient_mbar - DEEP_MBAR

    async def _sleep(self, for_s: float) -> None:
        clock = self._run.clock
        await clock.sleep_until(clock.now_ns() + round(for_s * NS))

    async def _shut_in(self) -> None:
        await self._valve("n2", open_=False)

    def _flows(self) -> list[str]:
        devices = self._run.plan.rig.model.devices
        return [name for name, entry in devices.items() if isinstance(entry, FlowEntry)]

    async def _flow(self) -> None:
        """Rest the gas flows; over a warm flask none is shut, or it would draw the bubbler in."""
        if hot(self._run) and not self._run.commanded.get("n2"):
            message = f"gas flows are left as they are until the flask is below {COLD_C:g} °C"
            self._run.event("safe_state.flow", message)
            return
        await _all(self._run.rig.devices[name].make_safe() for name in self._flows())

    async def _mantle(self) -> None:
        await _in_turn(self._switch("jack", on=False), self._switch("fan", on=True))

    async def _rough(self) -> None:
        await self._run.rig.vacuum().stop()

    async def _fine(self) -> None:
        await self._switch("fine", on=False)

    async def _warm(self) -> None:
        if self._run.rig.warm_line is not None:
            await self._run.rig.warm_line.make_safe()

    async def _alarm(self) -> None:
        await self._switch("beacon", on=True)

    async def _valve(self, name: str, *, open_: bool) -> None:
        output = self._run.rig.valve(name)
        await output.board.switch(output.name, open_)
        self._run.commanded[name] = open_

    async def _switch(self, role: str, *, on: bool) -> None:
        if self._run.rig.has(role):
            output = self._run.rig.output(role)
            await output.board.switch(output.name, on)
            self._run.commanded[role] = on


async def _all(jobs: Iterable[Coroutine[object, object, None]]) -> None:
    """Do all jobs side by side; raise only when each has come to its end.

    Raises:
        StepFailedError: one or more of them failed.
    """
    results = await asyncio.gather(*map(_tried, jobs))
    if any(results):
        raise StepFailedError("; ".join(filter(None, results)))


async def _in_turn(*jobs: Coroutine[object, object, None]) -> None:
    """Do jobs one after the other, going on past failures: a person has two hands.

    Raises:
        StepFailedError: one or more of them failed.
    """
    results = [await _tried(job) for job in jobs]
    if any(results):
        raise StepFailedError("; ".join(filter(None, results)))


async def _tried(job: Coroutine[object, object, None]) -> str:
    try:
        await job
    except (DeviceError, StepFailedError) as error:
        return str(error)
    return ""


def _patient(action: Action) -> Action:
    """Give a person the time to turn a valve."""
    by_hand = action.key in {"pumps", "vacuum", "inert", "flood", "shut_in"}
    return replace(action, timeout_s=BY_HAND_S) if by_hand else action


def hot(run: Run) -> bool:
    """Say whether the flask is, or may be, warm enough to draw in what is at the bubbler."""
    flask_c = run.signals.value("flask.T")
    return flask_c is None or flask_c > COLD_C


def at_the_end(run: Run) -> tuple[Action, ...]:
    """Return the sequence that ends a complete run: over a warm flask the gas stays on."""
    return (*COMPLETE, *SUCK_BACK) if hot(run) else COMPLETE


def may_skip(step: Step) -> bool:
    """Say whether a step may be skipped: none that makes the flask inert or clean, or holds one."""
    return not any(inner.protects for inner in flattened((step,)))
