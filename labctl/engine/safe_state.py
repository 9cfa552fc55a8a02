"""The way to the safe state, as data: ordered, each action bounded, going on past failures.

Heat goes first because it acts slowest; pumps stop before pressures change; vacuum is shut before
inert gas comes in. No air, no water on hot glass.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from labctl.engine.run import Run
from labctl.errors import DeviceError, LabctlError
from labctl.recipe.steps.base import Step
from labctl.rig.devices import FlowEntry, PumpEntry

ACTION_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Action:
    """One action of a sequence: what it does, in words, and its key in the table of doers."""

    key: str
    words: str


ABORT: tuple[Action, ...] = (
    Action("heater", "heater off"),
    Action("pumps", "syringe pumps stopped"),
    Action("laser", "laser off"),
    Action("vacuum", "both vacuum valves shut"),
    Action("inert", "inert gas on"),
    Action("flow", "gas flows left open or shut, as the rig file rests them"),
    Action("mantle", "mantle down, fan on"),
    Action("rough", "rough pump stopped"),
    Action("fine", "fine pump stopped behind its shut valve"),
    Action("warm", "warm line off"),
)

COMPLETE: tuple[Action, ...] = tuple(
    action for action in ABORT if action.key not in {"mantle", "inert"}
)

STILL: tuple[Action, ...] = tuple(action for action in ABORT if action.key in {"heater", "pumps"})
"""What is said to a rig before it is looked at."""


class SafeState:
    """Runs a sequence on a rig; running it twice is harmless."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._do: Mapping[str, Callable[[], Awaitable[None]]] = {
            "heater": self._heater,
            "pumps": self._pumps,
            "laser": self._laser,
            "vacuum": self._vacuum,
            "inert": self._inert,
            "flow": self._flow,
            "mantle": self._mantle,
            "rough": self._rough,
            "fine": self._fine,
            "warm": self._warm,
        }

    async def reach(self, sequence: tuple[Action, ...]) -> list[str]:
        """Run all actions of a sequence; return what failed, in words."""
        failed = []
        for action in sequence:
            if action.key == "flow" and not self._flows():
                continue
            try:
                async with asyncio.timeout(ACTION_TIMEOUT_S):
                    await self._do[action.key]()
            except (LabctlError, TimeoutError) as error:
                failed.append(f"{action.words}: {error or 'no answer in time'}")
                self._run.event("safe_state.failed", failed[-1], level="error")
            else:
                self._run.event("safe_state", action.words)
        return failed

    async def _heater(self) -> None:
        await self._run.heat.make_safe()

    async def _pumps(self) -> None:
        for name, entry in self._run.plan.rig.model.devices.items():
            if isinstance(entry, PumpEntry):
                await self._quietly(name)
        for load in self._run.plan.scene.loads.values():
            if load.valve:
                await self._valve(load.valve, open_=False)

    async def _quietly(self, name: str) -> None:
        try:
            await self._run.rig.devices[name].make_safe()
        except DeviceError as error:
            self._run.event("safe_state.failed", f"{name}: {error}", level="error")

    async def _laser(self) -> None:
        if self._run.rig.laser is not None:
            await self._run.rig.laser.make_safe()

    async def _vacuum(self) -> None:
        await self._valve("vac_fine", open_=False)
        await self._valve("vac_rough", open_=False)

    async def _inert(self) -> None:
        await self._valve("n2", open_=True)

    def _flows(self) -> list[str]:
        devices = self._run.plan.rig.model.devices
        return [name for name, entry in devices.items() if isinstance(entry, FlowEntry)]

    async def _flow(self) -> None:
        for name in self._flows():
            await self._run.rig.devices[name].make_safe()

    async def _mantle(self) -> None:
        await self._switch("jack", on=False)
        await self._switch("fan", on=True)

    async def _rough(self) -> None:
        await self._run.rig.vacuum().stop()

    async def _fine(self) -> None:
        await self._switch("fine", on=False)

    async def _warm(self) -> None:
        if self._run.rig.warm_line is not None:
            await self._run.rig.warm_line.make_safe()

    async def _valve(self, name: str, *, open_: bool) -> None:
        output = self._run.rig.valve(name)
        await output.board.switch(output.name, open_)
        self._run.commanded[name] = open_

    async def _switch(self, role: str, *, on: bool) -> None:
        if self._run.rig.has(role):
            output = self._run.rig.output(role)
            await output.board.switch(output.name, on)
            self._run.commanded[role] = on


NEVER_SKIPPED: frozenset[str] = frozenset({"backfill", "degas", "leak_test", "hf_treat"})


def may_skip(step: Step) -> bool:
    """Say whether a person may skip a step: never one that makes the flask inert or clean."""
    return step.verb not in NEVER_SKIPPED
