"""Conducts one run on real instruments: `python -m labctl.hardware DIRECTORY`.

A process of its own, beside the guard's. It opens ports only here; it is commanded over its control
port alone, and any end but completion is the safe state.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from labctl.clock import NS, WallClock, local_now, since_utc_ns
from labctl.control.desk import Desk, Pending
from labctl.control.server import Control, text_of
from labctl.engine.commands import Command, Commands
from labctl.engine.executor import Executor
from labctl.engine.guarding import Guarding
from labctl.engine.past import Past, past_of
from labctl.engine.preflight import still_stands, with_preflight
from labctl.engine.run import Run
from labctl.errors import ExitCode, LabctlError, UsageError
from labctl.hardware.launch import GUARD_LOG
from labctl.hardware.order import captures, placed, preflights, replace_recipe, resumes
from labctl.loop import Inbox
from labctl.plan import Plan
from labctl.readings import Event
from labctl.record import Record, open_run
from labctl.record.preflights import Kept, Outcome, keep
from labctl.report import write_report
from labctl.rig.capturing import capturing
from labctl.rig.claim import Claim
from labctl.rig.last_will import will_of
from labctl.rig.opening import OpenRig
from labctl.rig.wires import hardware_wires
from labctl.session import conduct, exit_code, meta_of, prepare

Json = Mapping[str, object]


def main(directory: Path) -> int:
    """Carry out the order in a run's directory; return what the process ends with."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        planned = _fit_first(prepare(placed(directory))[0], directory)
        with Claim(planned.rig, directory.name):
            code = asyncio.run(_conducted(planned, directory))
    except LabctlError as error:
        sys.stderr.write(f"labctl: {error}\n")
        return int(error.exit_code)
    write_report(directory)
    return int(code)


def _fit_first(planned: Plan, directory: Path) -> Plan:
    """Let a run begin with the preflight of its rig, whose outcomes are kept beside the runs."""
    runs = directory.parent

    def told(outcomes: Sequence[Outcome]) -> None:
        latest = max(outcome.at for outcome in outcomes)
        operator, rig = planned.batch.model.operator, planned.rig.model.name
        try:
            keep(runs, Kept(rig, latest, operator, directory.name, tuple(outcomes)))
        except OSError as error:  # it stands in the record; the next run looks again
            sys.stderr.write(f"labctl: the preflight is not kept: {error}\n")

    how = preflights(directory)
    if how == "none":
        return planned
    stands = still_stands(planned, runs, local_now())
    return with_preflight(planned, stands, told, alone=how == "alone")


async def _conducted(planned: Plan, directory: Path) -> ExitCode:
    past, clock, record = _begun(planned, directory)
    reception = Reception(planned, directory, clock)
    await reception.open()
    try:
        wires = hardware_wires(planned.rig, clock)
        if captures(directory):
            wires = capturing(planned.rig, wires, clock, _free(directory))
        rig = OpenRig(planned.rig, reception.desk, wires, clock)
        guarding = Guarding(
            lambda: will_of(rig, os.getpid()), directory / GUARD_LOG, clock, reception.abort
        )
        outcome, _, interrupted = await conduct(
            planned,
            rig,
            clock,
            record,
            Inbox(),
            reception.watch,
            guarding=guarding,
            attend=reception.attend,
            past=past,
        )
        return exit_code(outcome, interrupted=interrupted)
    finally:
        record.close()
        await reception.close()


def _free(directory: Path) -> Path:
    """Return where to keep what crosses the ports: `wire`, or `wire-2` when the run goes on, …."""
    names = itertools.chain(["wire"], (f"wire-{n}" for n in itertools.count(2)))
    return next(directory / name for name in names if not (directory / name).exists())


def _begun(planned: Plan, directory: Path) -> tuple[Past | None, WallClock, Record]:
    """Begin a record, or go on with that of a run that was cut off, as the order says.

    The gap is what the machine's clock says since it was last tied to run time; where it was set
    back meanwhile, the gap is told as nothing.
    """
    if not resumes(directory):
        meta = meta_of(planned, 0, directory.name, simulated=False)
        return None, WallClock(), Record.create(directory, meta, durable=True)
    with open_run(directory) as run:
        past, anchor = past_of(run), run.anchors[-1]
    clock = WallClock(max(past.last_ns + 1, anchor.t_ns + since_utc_ns(anchor.utc)))
    record = Record.reopen(directory, durable=True)
    record.anchor(clock.now_ns(), clock.local(clock.now_ns()))
    return past, clock, record


class Reception:
    """Where the outside meets the run: questions, commands, and what is told to watchers."""

    def __init__(self, planned: Plan, directory: Path, clock: WallClock) -> None:
        self._planned = planned
        self._directory = directory
        self._clock = clock
        self._run: Run | None = None
        self._executor: Executor | None = None
        self._commands: Commands | None = None
        self._control = Control(directory, self._handle, self._snapshot)
        self.desk = Desk(clock, self._control.changed)

    async def open(self) -> None:
        """Begin to be reachable; SIGTERM is an abort."""
        await self._control.start()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.abort, "the process was told to end (SIGTERM)")

    async def close(self) -> None:
        """Be reachable no more."""
        asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
        await self._control.close()

    def attend(self, executor: Executor, commands: Commands) -> None:
        """Take commands for an executor from now on."""
        self._executor, self._commands = executor, commands

    def watch(self, run: Run) -> None:
        """Tell watchers what happens in a run."""
        self._run = run
        run.bus.subscribe(self._told)

    def abort(self, reason: str) -> None:
        """End the run to the safe state."""
        if self._executor is not None:
            self._executor.abort(reason)

    def _told(self, message: object) -> None:
        if isinstance(message, Event):
            at = f"{self._clock.local(message.t_ns):%H:%M:%S}"
            row = {"at": at, "code": message.code, "message": message.message}
            self._control.tell({"event": {**row, "level": message.level, **self._where()}})

    def _where(self) -> dict[str, str]:
        run = self._run
        if run is None:
            return {"stage": "", "step": "", "state": "idle"}
        return {"stage": run.stage, "step": run.step_id, "state": run.machine.state.value}

    def _snapshot(self) -> Json:
        run = self._run
        progress = None if run is None else run.elapsed.progress
        return {
            **self._where(),
            "recipe": self._planned.recipe.head.name,
            "elapsed_s": self._clock.now_ns() / NS,
            "waits_for": "" if progress is None else progress.waits_for,
            "flask_c": None if run is None else run.signals.value("flask.T"),
            "deviations": [] if run is None else list(run.deviations),
            "questions": [_question(pending) for pending in self.desk.pending],
            **({} if self._commands is None else self._commands.in_hand()),
        }

    def _handle(self, asked: Json) -> Json:
        try:
            actor, verb = text_of(asked, "actor") or "operator", text_of(asked, "verb")
            reason = self._obey(verb, asked, actor)
        except UsageError as error:
            reason = str(error)
        return {"accepted": not reason, "reason": reason}

    def _obey(self, verb: str, asked: Json, actor: str) -> str:
        """Do what a command says; return why it is refused, or nothing.

        Raises:
            UsageError: a word of it is of the wrong kind.
        """
        if self._commands is None or self._run is None:
            return "the run has not begun"
        by = asked.get("by", [])
        if not isinstance(by, list):
            raise UsageError("by must be a list of names")
        names = tuple(map(str, by))
        if verb != "answer":
            return self._commanded(Command(verb, actor, text_of(asked, "text"), names))
        number = asked.get("question")
        if not isinstance(number, int):
            raise UsageError("an answer needs the question's number")
        reason = self.desk.answer(number, text_of(asked, "text"), names)
        now_ns = self._clock.now_ns()
        self._run.record.command(now_ns, actor, verb, accepted=not reason, reason=reason)
        return reason

    def _commanded(self, command: Command) -> str:
        """Obey; after a change the order is what the run does now, should it be cut off."""
        if self._commands is None or self._run is None:
            return "the run has not begun"
        reason = self._commands.obey(command)
        if command.verb == "change" and not reason:
            recipe = self._run.plan.recipe
            try:
                replace_recipe(self._directory, recipe.document.text, recipe.files)
            except OSError as error:
                said = f"cut off, the run could not be resumed with the change: {error.strerror}"
                self._run.event("change.not_kept", said, level="error")
        return reason


def _question(pending: Pending) -> Json:
    task = pending.task
    return {
        "number": pending.number,
        "kind": task.kind.value,
        "text": task.text,
        "items": list(task.items),
        "choices": list(task.choices),
        "default": task.default,
        "dimension": task.dimension,
        "signatures": task.signatures,
        "due_s": None if pending.due_ns is None else pending.due_ns / NS,
    }
