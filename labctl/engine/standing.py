"""What is said to the instruments to bring a run to stand and to let it go on from there.

Frozen: the temperature kept, doses stopped, gas unchanged. Parked: besides, the vacuum shut, inert
gas on, the flask let down to the stage's park temperature, stirring.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from labctl.capabilities import SyringePump
from labctl.clock import NS
from labctl.engine.parts import Parts
from labctl.engine.sequences import FREEZE, PARK, Action, Do, Sequencer
from labctl.errors import StepFailedError

BACK_WITHIN_K = 3.0
BACK_S = 3600.0
VACUUM = ("vac_fine", "vac_rough")


class Standing:
    """Says it to the instruments of one run."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._run = parts.run

    async def freeze(self) -> None:
        """Keep the temperature and stop doses.

        Raises:
            StepFailedError: an instrument did not obey.
        """
        await self._reach(FREEZE)

    async def park(self) -> bool:
        """Let in inert gas and let the flask down; return whether its gas was another before.

        Raises:
            StepFailedError: an instrument did not obey.
        """
        run = self._run
        gas_changed = not run.commanded.get("n2")
        await self._reach(PARK)
        target_c = run.plan.recipe.head.park.get(run.stage)
        run.event("parked", f"parking at {target_c:g} °C" if target_c else "parked without heat")
        return gas_changed

    async def back(self, before_c: float | None) -> None:
        """Heat as before, and wait until the flask is where it was, in °C.

        Raises:
            StepFailedError: it does not come back.
        """
        run = self._run
        await run.heat.resume()
        if before_c is None or not run.heat.on:
            return
        end_ns = run.clock.now_ns() + round(BACK_S * NS)
        while run.clock.now_ns() < end_ns:
            now_c = run.signals.value("flask.T")
            if now_c is not None and now_c > before_c - BACK_WITHIN_K:
                return
            await run.clock.sleep_until(run.clock.now_ns() + NS)
        message = f"the flask did not come back to {before_c:.0f} °C within {BACK_S / 60:.0f} min"
        raise StepFailedError(message)

    async def _reach(self, sequence: Sequence[Action]) -> None:
        """Run a sequence that brings the run to stand.

        Raises:
            StepFailedError: an instrument did not obey.
        """
        run = self._run
        do: Mapping[str, Do] = {
            "keep": run.heat.freeze,
            "pause": self._stop_pumps,
            "blanket": self._blanket,
            "stir": run.stirring.again,
            "let_down": self._let_down,
        }
        failed = await Sequencer(run, "standing", do).reach(sequence)
        if failed:
            raise StepFailedError("; ".join(failed))

    async def _blanket(self) -> None:
        for valve in VACUUM:
            if self._run.commanded.get(valve):
                await self._valve(valve, open_=False)
        await self._valve("n2", open_=True)

    async def _let_down(self) -> None:
        run = self._run
        target_c = run.plan.recipe.head.park.get(run.stage)
        flask_c = run.signals.value("flask.T")
        if target_c is None:
            await run.heat.off_for_now()
        elif run.heat.on and (flask_c is None or flask_c > target_c):
            await run.heat.stay_at(target_c)

    async def _stop_pumps(self) -> None:
        for load in self._run.plan.scene.loads.values():
            if load.pump:
                await cast("SyringePump", self._run.rig.devices[load.pump]).stop()

    async def act(self, action: str) -> None:
        """Do what an interlock names: `close VALVE`, `shut vacuum`, `stop PUMP`, `heater off`."""
        verb, _, name = action.partition(" ")
        if action == "heater off":
            await self._run.heat.off()
        elif action == "shut vacuum":
            for valve in VACUUM:
                if self._run.commanded.get(valve):
                    await self._valve(valve, open_=False)
        elif verb == "close":
            await self._valve(name, open_=False)
        elif verb == "stop" and name in self._run.rig.devices:
            await self._run.rig.devices[name].make_safe()

    async def _valve(self, name: str, *, open_: bool) -> None:
        output = self._run.rig.valve(name)
        gate = self._parts.interlocks.gate(name) if open_ else None
        await output.board.switch(output.name, open_, gate)
        self._run.commanded[name] = open_
