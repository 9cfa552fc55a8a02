"""The bench that steps run on: the parts of a run behind the one Protocol that steps know."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from typing import Literal

from labctl.bench import Aimed, Answer, Criterion, DoseRequest, Heater, Question, Ruling, Stirs
from labctl.capabilities import VacuumPump
from labctl.chemistry.flask import Flask
from labctl.clock import NS
from labctl.engine.aiming import landing
from labctl.engine.doses import Doses
from labctl.engine.interlocks import Interlocks
from labctl.engine.people import People
from labctl.engine.run import Run
from labctl.engine.tracking import Tracking
from labctl.errors import StepFailedError
from labctl.expressions import compile_tree, parse_condition
from labctl.readings import Scalar
from labctl.recipe.steps.base import Step

HAND_READ_S = 60.0

RunStep = Callable[[Step, str], Awaitable[None]]


class EngineBench:
    """Implements `labctl.bench.Bench` for one run; `step_id` is set by the executor."""

    def __init__(
        self,
        run: Run,
        people: People,
        doses: Doses,
        tracking: Tracking,
        interlocks: Interlocks,
        run_step: RunStep,
    ) -> None:
        self.scene = replace(run.plan.scene, ambient_mbar=run.ambient_mbar)
        self.clock = run.clock
        self.heater: Heater = run.heat
        self.stirrer: Stirs = run.stirring
        self.rough: VacuumPump = run.rig.vacuum()
        self.step_id = ""
        self.step_key = 0
        self.anchors: dict[str, float] = {}
        self.first_true: dict[str, float] = {}
        self.resumed: dict[str, float] = {}
        self.clocks: dict[str, float] = {}
        self._run = run
        self._people = people
        self._doses = doses
        self._tracking = tracking
        self._interlocks = interlocks
        self._run_step = run_step
        self._read_s: dict[str, float] = {}
        self._aimed: Aimed | None = None

    def value(self, signal: str) -> float | None:
        """Return the latest good reading of a signal, or None."""
        return self._run.signals.value(signal)

    async def measure(self, signal: str) -> float | None:
        """Return a signal now, having a person read it off where no device does."""
        if self._by_person(signal):
            await self._people.read(signal)
        return self._run.signals.value(signal)

    def bounds(self, signal: str) -> tuple[float, float] | None:
        """Return between what a signal lies."""
        return self._run.signals.bounds(signal)

    def elapsed_s(self) -> float:
        """Return s on the run's own clock."""
        return self._run.elapsed.now_s()

    def since_s(self, anchor: str) -> float:
        """Return when an anchor was, in elapsed s.

        Raises:
            StepFailedError: the anchor has not happened.
        """
        if anchor not in self.anchors:
            raise StepFailedError(f"{anchor} has not happened")
        return self.anchors[anchor]

    def condition(self, text: str) -> Callable[[], bool | None]:
        """Compile a condition over the rig's signals."""
        meaning = self._interlocks.meaning({})
        evaluate = compile_tree(parse_condition(text), meaning)

        def holds() -> bool | None:
            for window in meaning.windows:
                window.look()
            value = evaluate()
            return None if value is None else bool(value)

        return holds

    def first_true_s(self, text: str) -> float | None:
        """Return when a condition first held since the preceding step began, if it did."""
        return self.first_true.get(text)

    def extra_s(self) -> float:
        """Return what people have added to the present wait, in s."""
        return self._run.elapsed.extra_s()

    def resumed_s(self) -> float | None:
        """Return when the running step's own clock began before it was interrupted, if it did."""
        return self.resumed.pop(self.step_id, None)

    def clock_started(self, at_s: float) -> None:
        """Tell when the running step's own clock began, in elapsed s."""
        self.clocks[self.step_id] = at_s
        behind_ns = round((self.elapsed_s() - at_s) * NS)
        self._run.record.step_clock(self.step_key, self._run.clock.now_ns() - behind_ns)

    async def wait(
        self,
        waits_for: str,
        until: Callable[[], bool | None],
        timeout_s: float,
        *,
        reads: Sequence[str] = (),
        ends_s: float | None = None,
    ) -> bool:
        """Wait until a condition holds; have a person read what no device reads."""
        by_hand = [signal for signal in reads if self._by_person(signal)]
        if not by_hand:
            return await self._run.elapsed.wait(waits_for, until, timeout_s, ends_s)
        end_s = self.elapsed_s() + timeout_s
        while self.elapsed_s() < end_s:
            left_s = end_s - self.elapsed_s()
            for signal in by_hand:
                await self._people.read(signal)
            part_s = min(HAND_READ_S, left_s)
            if await self._run.elapsed.wait(waits_for, until, part_s, ends_s):
                return True
        return until() is True

    async def valve(self, name: str, *, open_: bool) -> None:
        """Turn a valve of the manifold, gated by the inhibits if it opens."""
        if self._run.commanded.get(name) is open_:
            return
        if open_:
            self._run.still_on(f"{name} is not opened")
        output = self._run.rig.valve(name)
        if output.by_person and open_:
            await self._read_for(name)
        gate = await self._interlocks.permit(name) if open_ else None
        await output.board.switch(output.name, open_, gate)
        self._run.commanded[name] = open_
        self._run.event("valve", f"{name} {'open' if open_ else 'shut'}")

    async def switch(self, role: str, *, on: bool) -> None:
        """Switch a role bound to an output; a role nobody plays is passed over."""
        if not self.has(role) or self._run.commanded.get(role) is on:
            return
        self._run.still_on(f"{role} is not switched")
        output = self._run.rig.output(role)
        await output.board.switch(output.name, on)
        self._run.commanded[role] = on
        self._run.event("switch", f"{role} {'on' if on else 'off'}")

    def has(self, role: str) -> bool:
        """Say whether the rig binds a role."""
        return self._run.rig.has(role)

    async def dose(self, request: DoseRequest) -> float:
        """Give one dose; return the delivered mL."""
        self._run.still_on(f"{request.id} is not given")
        return await self._doses.give(request)

    async def dose_together(self, requests: Sequence[DoseRequest]) -> None:
        """Give several doses at once; when one fails, all stop."""
        self._run.still_on("nothing is given")
        await self._doses.together(requests)

    def dip_k(self) -> float:
        """Return how far the flask fell since the last injection began, in K."""
        return self._doses.dip.kelvin()

    def anchor(self, peak_nm: float) -> None:
        """Anchor the 25 °C scale of the peak on a cold measurement."""
        self._tracking.anchor(peak_nm)

    def shift_per_round_nm(self) -> float | None:
        """Return what a full round of the running repeat would shift now: as the last one did."""
        rounds = self._tracking.rounds
        return rounds[-1] if rounds else None

    async def ask(self, question: Question) -> Answer:
        """Ask a person to decide."""
        return await self._people.ask(question)

    async def confirm(
        self,
        items: Sequence[str],
        *,
        signatures: int = 1,
        subject: str = "",
        after_s: float | None = None,
    ) -> None:
        """Have a list signed."""
        await self._people.confirm(items, signatures, subject, after_s)

    async def hand(self, text: str, subject: str, amount: float | None = None) -> None:
        """Have a person do something with their hands."""
        await self._people.hand(text, subject, amount)
        if subject.startswith("flush."):
            self._run.flushed.add(subject.removeprefix("flush."))
        self._doses.lines.handled(subject, amount)

    async def reference(self, track: str) -> None:
        """Take the lamp reference."""
        await self._tracking.reference()
        self._run.flask = replace(self._run.flask, referenced=True)

    async def warm_lines(self) -> None:
        """Heat the line that is kept warm, to the warmest of what it holds."""
        warm = self._run.rig.warm_line
        loads = self._run.plan.scene.loads.values()
        kept = [load.keep_at_c for load in loads if load.warmed_by and load.keep_at_c is not None]
        if warm is not None and kept:
            await warm.ramp(max(kept), 0.0)
            self._run.event("warm_line", f"warm line to {max(kept):g} °C")

    async def lamp(self, over_s: float) -> tuple[float, float]:
        """Return the lamp's share of the detector's range, and its drift as a fraction per min."""
        return await self._tracking.lamp(over_s)

    async def baseline(self, tracks: Sequence[str], name: str, for_s: float) -> None:
        """Measure the level of tracks before a dose."""
        await self._tracking.baseline(tracks, name, for_s)
        self.anchors[name] = self.elapsed_s()

    async def decide(self, criterion: Criterion) -> Ruling:
        """Watch a track until a criterion holds."""
        ruling = await self._tracking.decide(criterion)
        self._aimed = ruling.aimed or self._aimed
        return ruling

    def landed(self) -> None:
        """Tell where the peak came to rest, if a target was reached before."""
        aimed, self._aimed = self._aimed, None
        seen = [(s.t_ns / NS, s.peak_nm, s.band_nm) for s in self._tracking.sightings if s.usable]
        found = None if aimed is None else landing(aimed, seen)
        if found is not None:
            self.note("landed", found.words(), **asdict(found))

    async def aliquot(self, label: str, volume_ml: float, into: str) -> None:
        """Have an aliquot drawn; the ledger shrinks."""
        await self._tracking.sample(f"{label} ({into})", volume_ml)

    def learning(self) -> AbstractContextManager[None]:
        """Learn the peak's temperature coefficient while open."""
        return self._tracking.learning()

    def token(self, kind: Literal["injection", "quench"]) -> AbstractContextManager[None]:
        """Expect a disturbance while open."""
        return self._run.token(kind)

    async def children(self, steps: Sequence[object], name: str, *, trim: float = 1.0) -> None:
        """Run sub-steps, each recorded under its id and the round's name."""
        before_nm = self.value("peak.25C")
        outer = self._doses.trim
        self._doses.trim = outer * trim
        try:
            for step in steps:
                if isinstance(step, Step):
                    await self._run_step(step, name)
        finally:
            self._doses.trim = outer
        after_nm = self.value("peak.25C")
        if before_nm is not None and after_nm is not None:
            self._tracking.rounds.append((after_nm - before_nm) / trim)

    async def off(self) -> None:
        """Switch the heater off."""
        await self._run.heat.off()
        self._run.event("heater", "heater off")

    def note(self, code: str, message: str, **data: Scalar) -> None:
        """Write an event to the record."""
        self._run.event(code, message, {"step": self.step_id, **data})

    def deviation(self, message: str) -> None:
        """Write down that the run departed from its recipe."""
        self._run.deviation(message)

    def flask(self) -> Flask:
        """Return the flask as the ledger knows it, at its measured temperature."""
        at_c = self.value("flask.T")
        flask = self._run.flask
        return flask if at_c is None else replace(flask, temperature_c=at_c)

    def _by_person(self, signal: str) -> bool:
        model = self._run.plan.rig.model
        device = model.signals.get(signal, signal).partition(".")[0]
        return device not in self._run.rig.devices

    async def _read_for(self, valve: str) -> None:
        """Before a person opens a valve that an interlock guards, have its signals read."""
        for signal in self._interlocks.asked_at(valve):
            if self._by_person(signal) and signal.endswith(".P"):
                await self._people.read(signal)
