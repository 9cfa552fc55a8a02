"""Doses: intent (durable) -> starting (durable) -> bytes -> verified by the pump's own counter.

A dose is never given twice: a step that is run again gives what is still missing of it, and of one
that was started and not verified nothing. The ledger follows what was delivered, not what was asked
for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from labctl.bench import DoseRequest, Loaded
from labctl.capabilities import Gate, NoticesChanges, PumpState, SyringePump, Task, TaskKind
from labctl.check.people import NOT_ALONE
from labctl.engine.comms import is_lost
from labctl.engine.dip import Dip, MoveEnds
from labctl.engine.interlocks import Interlocks
from labctl.engine.lines import Lines
from labctl.engine.people import People
from labctl.engine.poller import Poller
from labctl.engine.run import Run
from labctl.errors import (
    AbandonedError,
    AbortedError,
    RefusedByDeviceError,
    StepFailedError,
)
from labctl.record import DoseRow
from labctl.rig.comms import policy_of
from labctl.units import show, show_amount

WATCH_S = 1.0
IDLE_POLL_S = 8.0
SHORT_ML = 0.002
SHORT_FRACTION = 0.02
LATE_FACTOR = 2.0
LATE_S = 30.0
HF_SIGNERS = 2


@dataclass
class Given:
    """What is known of a dose so far: on the pump's own scale, and what left the needle, in mL."""

    row: DoseRow
    pushed_ml: float = 0.0
    delivered_ml: float = 0.0
    unknown: bool = False


class Doses:
    """Gives doses, by pump or by hand."""

    def __init__(self, run: Run, people: People, interlocks: Interlocks, poller: Poller) -> None:
        self._run = run
        self._people = people
        self._interlocks = interlocks
        self._poller = poller
        self.lines = Lines(run)
        self._given: dict[str, Given] = {}
        self.dip = Dip(run)
        self.trim = 1.0

    async def give(self, request: DoseRequest) -> float:
        """Give one dose, or what is missing of it, and return the delivered mL.

        Raises:
            StepFailedError: the pump stopped short, or what it did is unknown.
        """
        request = self._trimmed(request)
        self._attended(request)
        self.dip.begin()
        load = self._run.plan.scene.loads[request.reagent]
        by_hand = request.by_hand or not load.pump
        given = self._given.get(request.id)
        if given is None:
            row = self._row(request, "hand" if by_hand else load.pump)
            commanded_ml = request.volume_ml / (1.0 if by_hand else load.fraction)
            given = self._given[request.id] = Given(replace(row, commanded_ml=commanded_ml))
        missing_ml = self._missing_ml(given)
        if missing_ml <= SHORT_ML:
            message = f"{request.id} was given before; not again"
            self._run.event("dose.given", message, {"id": request.id})
        elif by_hand:
            await self._by_hand(request, given)
        else:
            await self._by_pump(request, load, given, missing_ml)
        return given.delivered_ml

    def given(self, step: str) -> dict[str, float]:
        """Return what the doses of a step have delivered so far, in mL by reagent."""
        known = ((id_.partition("#")[0], row) for id_, row in self._given.items())
        rows = [row for id_, row in known if id_ == step or id_.startswith(f"{step}.")]
        return {row.row.reagent: row.delivered_ml for row in rows}

    def ledger(self) -> tuple[tuple[DoseRow, float, bool], ...]:
        """Return each dose so far: its row, what its pump pushed in mL, and whether that is sure.

        The volume is on the pump's own scale, or what a person poured.
        """
        return tuple((row.row, row.pushed_ml, not row.unknown) for row in self._given.values())

    def said(self, step: str) -> str:
        """Say what the doses of a step have delivered, before anything is chosen; or nothing."""
        given = self.given(step)
        told = ", ".join(f"{show(ml, 'volume')} of {name}" for name, ml in given.items())
        return f"given so far: {told}, and only what is missing will be given; " if told else ""

    async def together(self, requests: Sequence[DoseRequest]) -> None:
        """Give several doses at once; when one fails, the others are stopped.

        Raises:
            StepFailedError: one of them failed.
        """
        try:
            async with asyncio.TaskGroup() as group:
                for request in requests:
                    group.create_task(self.give(request), name=f"dose {request.id}")
        except* StepFailedError as errors:
            raise StepFailedError(str(errors.exceptions[0])) from None

    def take_over(self, given: Given) -> None:
        """Enter a dose of the run before it was cut off."""
        row = given.row
        self._given[row.id] = given
        if row.into_ == "flask" and row.reagent in self._run.plan.scene.loads:
            self._in_flask(row.reagent, given.delivered_ml)

    def arrived_ml(self, row: DoseRow, counted_ml: float) -> float:
        """Return what leaves the needle of what a pump counts for a dose, in mL."""
        if row.by == "hand":
            return counted_ml
        return self._arrived_ml(self._run.plan.scene.loads[row.reagent], counted_ml)

    def line_state(self, row: DoseRow) -> dict[str, float]:
        """Return what is in the line of a dose, as the record has it; nothing of one by hand."""
        if row.by == "hand":
            return {}
        return self.lines.of(self._run.plan.scene.loads[row.reagent]).state()

    @staticmethod
    def _missing_ml(given: Given) -> float:
        """Return what is missing of a dose, on the pump's own scale.

        Raises:
            StepFailedError: it was started, and what became of it is unknown.
        """
        if given.unknown:
            message = f"what became of dose {given.row.id} is unknown; it is not given again: "
            raise StepFailedError(message + "look at the syringe, then park or abort")
        return (given.row.commanded_ml or 0.0) - given.pushed_ml

    async def _by_hand(self, request: DoseRequest, given: Given) -> None:
        run = self._run
        self._signed_for(request)
        kind = TaskKind.CHARGE if request.kind == "charge" else TaskKind.INJECT
        verb = "charge" if request.kind == "charge" else "inject"
        over = f" within {show(request.over_s, 'time')}" if request.over_s else ""
        amount = f" ({show_amount(request.amount_mmol)})" if request.amount_mmol else ""
        text = f"{verb} {self._measure(request)} of {request.reagent}{amount}{over}"
        if request.button:
            text += ", and press INJECTED"
        if request.keep_above_c is not None:
            text += f"; pause while the flask is below {show(request.keep_above_c, 'temperature')}"
        intents = [await self._intend("dose", self._data(request, "hand"))]
        run.record.dose(given.row)
        try:
            await self._people.do(
                Task(kind, text, request.reagent, request.volume_ml, "volume", request.over_s)
            )
        except AbortedError as error:  # refused by a person
            self._settle(intents, "refused", {"why": _why(error), "counted_ml": 0.0})
            run.record.dose(replace(given.row, state="refused", end_ns=run.clock.now_ns()))
            raise
        except BaseException as error:  # it may have been poured, and not said
            self._unknown(given, intents, error)
            raise
        given.pushed_ml = given.delivered_ml = request.volume_ml
        if request.over_s:
            await run.elapsed.wait(f"{request.reagent} to go in", self.dip.follow, request.over_s)
        self._write_down(given, intents, {"counted_ml": request.volume_ml})
        self._on_ledger(request, request.volume_ml)

    def _attended(self, request: DoseRequest) -> None:
        """Refuse what nobody gives alone while nobody else is there, by the clock of the rig.

        Raises:
            StepFailedError: it is not an attended hour, and the sheet does not accept that.
        """
        run = self._run
        hours, now = run.plan.rig.model.site.attended, run.local()
        held = run.plan.scene.contents(request.reagent, request.volume_ml)
        name = next((name for name in NOT_ALONE if name in held), "")
        if not name or hours.covers(now) or "people.hazard_hours" in run.plan.batch.model.accept:
            return
        message = (
            f"{request.id}: {name} is not given now ({now:%a %H:%M}), when nobody else is there"
        )
        raise StepFailedError(f"{message} ({hours}): park, and go on in attended hours")

    def _signed_for(self, request: DoseRequest) -> None:
        """Refuse HF that two people have not signed for in this run; no gate stands before a hand.

        Raises:
            StepFailedError: fewer have.
        """
        signed = len(self._run.signed.get(request.reagent, ()))
        held = self._run.plan.scene.contents(request.reagent, request.volume_ml)
        if "HF" in held and signed < HF_SIGNERS:
            message = f"{request.reagent} contains HF: {HF_SIGNERS} people must sign for it"
            raise StepFailedError(f"{message} in this run, {signed} did; it is not given by hand")

    def _measure(self, request: DoseRequest) -> str:
        """Return what a person measures out: grams of a solid, the volume of all else."""
        composition = self._run.plan.scene.loads[request.reagent].composition
        substance = composition.substance
        if composition.solvent is None and substance.state == "solid":
            return show((request.amount_mmol or 0.0) * substance.molar_mass_g_mol / 1e3, "mass")
        return show(request.volume_ml, "volume")

    async def _by_pump(
        self, request: DoseRequest, load: Loaded, given: Given, wanted_ml: float
    ) -> None:
        run = self._run
        pump = cast("SyringePump", run.rig.devices[load.pump])
        if request.into == "flask" and not self.lines.of(load).in_flask:
            needle, tip = f"needle of {load.name} through the septum", f"tip.{load.pump}"
            await self._people.hand(needle, tip, 1.0)
            self.lines.handled(tip, 1.0)
        intents = await self._begun(request, load, given, pump)
        run.record.dose(replace(given.row, state="running"))
        self._poller.hurry(load.pump, WATCH_S)
        reason = ""
        try:
            await self._line(load, open_=True)
            reason = await self._pushed(request, load, pump, wanted_ml)
        finally:
            self._poller.hurry(load.pump, IDLE_POLL_S)
            counted_ml = await self._settled(request, given, intents, load, pump)
        if counted_ml < wanted_ml * (1 - SHORT_FRACTION) - SHORT_ML:
            got, asked = show(counted_ml, "volume"), show(wanted_ml, "volume")
            message = f"{load.pump} gave {got} of {asked} {request.reagent}"
            raise StepFailedError(f"{message}{': ' if reason else ''}{reason}")

    async def _begun(
        self, request: DoseRequest, load: Loaded, given: Given, pump: SyringePump
    ) -> list[int]:
        """Write down that a pump is about to start; return the numbers of the intents.

        Whatever comes between, the intents that were written are settled: nothing was pushed yet.

        Raises:
            DeviceError: its counter cannot be reset.
        """
        run, intents = self._run, []
        starting: dict[str, str | float] = {"id": request.id, "baseline_ml": 0.0}
        try:
            intents.append(await self._intend("dose", self._data(request, load.pump)))
            run.record.dose(given.row)
            await pump.reset_counter()
            intents.append(await self._intend("dose.starting", starting))
        except BaseException as error:
            self._settle(intents, "refused", {"why": _why(error), "counted_ml": 0.0})
            raise
        return intents

    async def _intend(self, kind: str, data: Mapping[str, str | float]) -> int:
        """Write down an intent; one that is abandoned while it reaches the disk is settled.

        Raises:
            CancelledError: it was abandoned.
        """
        record, now_ns = self._run.record, self._run.clock.now_ns
        writing = asyncio.ensure_future(record.intent(now_ns(), kind, data))
        try:
            return await asyncio.shield(writing)
        except asyncio.CancelledError as error:
            self._settle([await writing], "refused", {"why": _why(error), "counted_ml": 0.0})
            raise

    def _settle(
        self, intents: Sequence[int], outcome: str, result: Mapping[str, str | float]
    ) -> None:
        """Write down what came of the intents of one dose; what was counted stands in the first."""
        for intent in intents:
            self._run.record.settle(intent, self._run.clock.now_ns(), outcome, result)

    async def _pushed(
        self, request: DoseRequest, load: Loaded, pump: SyringePump, wanted_ml: float
    ) -> str:
        """Push until the counter says so; pause while the flask is too cold. Say why it stopped."""
        run = self._run
        rate = request.volume_ml / load.fraction / request.over_s * 60
        gate = await self._interlocks.permit(load.pump)
        left_ml = wanted_ml
        while left_ml > SHORT_ML / 2:
            await self._warm_enough(request)
            await run.elapsed.gate()
            freezes = run.elapsed.freezes
            await self._start(pump, left_ml, rate, gate)
            started_s = run.elapsed.now_s()
            allowed_s = left_ml / rate * 60 * LATE_FACTOR + LATE_S
            stopped = MoveEnds(run, self.dip, load.pump, request.keep_above_c, self._lost)
            waits_for = f"{request.reagent}: {show(wanted_ml, 'volume')} to go in"
            ends_s = started_s + left_ml / rate * 60
            in_time = await run.elapsed.wait(waits_for, stopped, allowed_s, ends_s)
            if not in_time or stopped.cold or stopped.lost:
                await pump.stop()
            counted_ml = await pump.dispensed_ml()
            left_ml = wanted_ml - counted_ml
            if not in_time:
                return f"it was still running after {show(allowed_s, 'time')}"
            if not stopped.cold and run.elapsed.freezes == freezes:
                return await self._why(pump)
        return ""

    async def _start(
        self, pump: SyringePump, volume_ml: float, rate_ml_min: float, gate: Gate | None
    ) -> None:
        """Start the pump; if the run freezes meanwhile, leave it standing.

        Raises:
            AbandonedError: given up for a trip.
        """
        freezes = self._run.elapsed.freezes
        try:
            await pump.infuse(volume_ml, rate_ml_min, gate)
        except AbandonedError:
            if self._run.elapsed.freezes == freezes:
                raise
        if self._run.elapsed.frozen:
            await pump.stop()

    async def _why(self, pump: SyringePump) -> str:
        state = await pump.state()
        return "" if state in {PumpState.IDLE, PumpState.PAUSED} else f"the pump is {state.value}"

    async def _warm_enough(self, request: DoseRequest) -> None:
        limit_c = request.keep_above_c
        if limit_c is None:
            return

        def warm() -> bool:
            at_c = self._run.signals.value("flask.T")
            return at_c is not None and at_c >= limit_c

        waits_for = f"flask above {show(limit_c, 'temperature')} to go on with {request.reagent}"
        if not await self._run.elapsed.wait(waits_for, warm, 1800.0):
            raise StepFailedError(f"{waits_for}: it stays too cold")

    async def _settled(
        self,
        request: DoseRequest,
        given: Given,
        intents: Sequence[int],
        load: Loaded,
        pump: SyringePump,
    ) -> float:
        """Read the counter, write down what is known, close the line; return the counted mL.

        Raises:
            DeviceError: the counter cannot be read, so the dose is unknown; or the line stays open.
        """
        given.unknown = True
        try:
            if await pump.state() is PumpState.INFUSING:
                await pump.stop()
            counted_ml = await pump.dispensed_ml()
            _must_have_kept_its_counter(pump)
        except BaseException as error:
            self._unknown(given, intents, error)
            raise
        arrived_ml = self._arrived_ml(load, counted_ml)
        given.unknown = False
        given.pushed_ml += counted_ml
        given.delivered_ml += arrived_ml
        self._write_down(given, intents, {"counted_ml": counted_ml, **self.lines.of(load).state()})
        self._on_ledger(request, arrived_ml)
        await self._line(load, open_=False)
        return counted_ml

    def _unknown(self, given: Given, intents: Sequence[int], error: BaseException) -> None:
        given.unknown = True
        self._settle(intents, "unknown", {"why": _why(error)})
        end_ns = self._run.clock.now_ns()
        self._run.record.dose(replace(given.row, state="unknown", end_ns=end_ns))

    def _write_down(
        self, given: Given, intents: Sequence[int], result: Mapping[str, float]
    ) -> None:
        """Write down what was counted; of a pump that never turned, that it was refused."""
        outcome = "done" if result["counted_ml"] > 0.0 else "refused"
        self._settle(intents, outcome, {**result, "delivered_ml": given.delivered_ml})
        state = "done" if given.pushed_ml > 0.0 else "refused"
        end_ns, delivered_ml = self._run.clock.now_ns(), given.delivered_ml
        row = replace(given.row, state=state, end_ns=end_ns, delivered_ml=delivered_ml)
        self._run.record.dose(row)

    def _on_ledger(self, request: DoseRequest, volume_ml: float) -> None:
        if request.into == "flask":
            self._in_flask(request.reagent, volume_ml)

    def _in_flask(self, reagent: str, volume_ml: float) -> None:
        load = self._run.plan.scene.loads[reagent]
        flask = self._run.flask.add(self._run.plan.scene.contents(reagent, volume_ml))
        dots = load.composition.brings_dots
        self._run.flask = replace(flask, dots=flask.dots or dots)

    async def _line(self, load: Loaded, *, open_: bool) -> None:
        if load.valve:
            output = self._run.rig.valve(load.valve)
            gate = await self._interlocks.permit(load.valve) if open_ else None
            await output.board.switch(output.name, open_, gate)
            self._run.commanded[load.valve] = open_

    def _arrived_ml(self, load: Loaded, counted_ml: float) -> float:
        return self.lines.of(load).push(counted_ml * load.fraction)

    def _trimmed(self, request: DoseRequest) -> DoseRequest:
        if self.trim >= 1.0 or request.kind != "injection":
            return request
        amount = None if request.amount_mmol is None else request.amount_mmol * self.trim
        return replace(request, volume_ml=request.volume_ml * self.trim, amount_mmol=amount)

    def _lost(self, pump: str) -> bool:
        policy, polled = policy_of(self._run.plan.rig, pump), self._poller.polled(pump)
        return is_lost(polled, policy, self._run.clock.now_ns())

    def _row(self, request: DoseRequest, by: str) -> DoseRow:
        return DoseRow(
            request.id,
            request.reagent,
            by,
            request.kind,
            request.into,
            "starting",
            self._run.clock.now_ns(),
            flask_c=self._run.signals.value("flask.T"),
            commanded_ml=request.volume_ml,
            amount_mmol=request.amount_mmol,
        )

    @staticmethod
    def _data(request: DoseRequest, by: str) -> dict[str, str | float]:
        data: dict[str, str | float] = {"id": request.id, "reagent": request.reagent, "by": by}
        return data | {"volume_ml": request.volume_ml, "into": request.into}


def _why(error: BaseException) -> str:
    return str(error) or "abandoned"


def _must_have_kept_its_counter(pump: SyringePump) -> None:
    """Refuse what a pump counts that was switched off meanwhile.

    Raises:
        RefusedByDeviceError: it was.
    """
    change = pump.changed() if isinstance(pump, NoticesChanges) else None
    if change is not None:
        raise RefusedByDeviceError(pump.name, "its counter", "what it has infused", change.text)
