"""The run's end of the guard: hands over the last will, sends heartbeats, permits heat.

Only in real time. Either side ends the other: without heartbeats the guard cuts the heat and kills
the run; without the guard's echoes the run goes to its safe state.
"""

from __future__ import annotations

import asyncio
import json
import math
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Protocol

from labctl.clock import NS, Clock, Priority
from labctl.errors import StepFailedError
from labctl.guard.will import Will

BEAT_S = 1.0
READY_S = 15.0
ENABLE_S = 5.0
WAS_CUT = "the heat was cut; nothing is heated again in this run"


Says = Callable[[], tuple[str, float, bool]]
"""What a heartbeat says: the run's state, the age of the flask's temperature in s, heating."""


class Guards(Protocol):
    """What a run needs of its guard."""

    async def start(self, beat: Says) -> None:
        """Begin to guard; the contactor is open.

        Raises:
            StepFailedError: the guard does not begin.
        """
        ...

    async def permit(self) -> None:
        """Let heat be given: the contactor closed.

        Raises:
            StepFailedError: no live guard, or the heat was cut.
        """
        ...

    def cut(self) -> None:
        """Open the contactor now, for good."""
        ...

    async def end(self) -> None:
        """End guarding, with the contactor open."""
        ...


class TwinGuard:
    """The guard of a dry run: no process, only its contactor in the simulated world."""

    def __init__(self, contactor: Callable[[bool], None]) -> None:
        self._contactor = contactor
        self._was_cut = False

    async def start(self, beat: Says) -> None:
        """Open the contactor."""
        self._contactor(False)

    async def permit(self) -> None:
        """Close the contactor.

        Raises:
            StepFailedError: the heat was cut.
        """
        if self._was_cut:
            raise StepFailedError(WAS_CUT)
        self._contactor(True)

    def cut(self) -> None:
        """Open the contactor now, for good."""
        self._was_cut = True
        self._contactor(False)

    async def end(self) -> None:
        """Open the contactor."""
        self._contactor(False)


class Guarding:
    """One guard process beside one run.

    `will` is asked when the instruments are connected; `lost` is told once when the guard is gone.
    """

    def __init__(
        self, will: Callable[[], Will], log: Path, clock: Clock, lost: Callable[[str], None]
    ) -> None:
        self._make_will = will
        self._beat_s = 0.0
        self._log = log
        self._clock = clock
        self._lost = lost
        self._process: asyncio.subprocess.Process | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._ready: asyncio.Future[str] | None = None
        self._enabled: asyncio.Future[bool] | None = None
        self._heard_ns = 0
        self._seq = 0
        self._ended = False
        self._was_cut = False

    @property
    def alive(self) -> bool:
        """Whether the guard has echoed a heartbeat within the time it allows itself."""
        age_s = (self._clock.now_ns() - self._heard_ns) / NS
        return not self._ended and self._process is not None and age_s <= self._beat_s

    async def start(self, beat: Says) -> None:
        """Start the guard and the heartbeats.

        Raises:
            StepFailedError: the guard does not begin: its port or its relay does not answer.
        """
        will = self._make_will()
        self._beat_s = will.beat_s
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "labctl.guard", str(self._log)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        loop = asyncio.get_running_loop()
        self._ready = loop.create_future()
        self._write(will.encode())
        self._begin("guard's words", self._listen())
        try:
            async with asyncio.timeout(READY_S):
                why = await self._ready
        except TimeoutError:
            why = f"it said nothing within {READY_S:g} s"
        if why:
            await self.end()
            raise StepFailedError(f"the guard is not ready: {why}; see {self._log}")
        self._heard_ns = self._clock.now_ns()
        self._begin("heartbeat", self._beat(beat))

    async def permit(self) -> None:
        """Let heat be given: a live guard, and its contactor closed.

        Raises:
            StepFailedError: there is no live guard, or the contactor is not confirmed closed.
        """
        if self._was_cut:
            raise StepFailedError(WAS_CUT)
        if not self.alive:
            raise StepFailedError("nothing is heated without a live guard")
        if self._enabled is None:
            self._enabled = asyncio.get_running_loop().create_future()
            self._write(json.dumps({"enable": True}))
        try:
            async with asyncio.timeout(ENABLE_S):
                closed = await asyncio.shield(self._enabled)
        except TimeoutError:
            closed = False
        if not closed:
            raise StepFailedError("the heater's contactor is not confirmed closed; nothing heats")

    def cut(self) -> None:
        """Have the guard open the contactor now, for good; the run goes on to its safe state."""
        self._was_cut = True
        self._write(json.dumps({"open": True}))

    async def end(self) -> None:
        """Tell the guard that the run is over; it opens the contactor and goes."""
        self._ended = True
        for task in self._tasks[1:]:
            task.cancel()
        process = self._process
        if process is not None:
            self._write(json.dumps({"done": True}))
            try:
                async with asyncio.timeout(READY_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if process is not None and process.stdin is not None:
            process.stdin.close()

    def _begin(self, name: str, job: Coroutine[object, object, None]) -> None:
        self._tasks.append(asyncio.create_task(job, name=name))

    async def _beat(self, beat: Says) -> None:
        while True:
            state, age_s, heating = beat()
            self._seq += 1
            age = None if math.isinf(age_s) else age_s
            sent = {"seq": self._seq, "state": state, "age_s": age, "heating": heating}
            self._write(json.dumps({"beat": sent}))
            if not self.alive:
                self._gone(f"it has echoed nothing for {self._beat_s:g} s")
                return
            await self._clock.sleep_until(self._clock.now_ns() + round(BEAT_S * NS), Priority.TRIP)

    async def _listen(self) -> None:
        process = self._process
        if process is None or process.stdout is None:
            return
        while line := await process.stdout.readline():
            self._hear(json.loads(line))
        self._gone("its process has ended")

    def _hear(self, words: dict[str, object]) -> None:
        if "seq" in words:
            self._heard_ns = self._clock.now_ns()
        if "ready" in words and self._ready is not None and not self._ready.done():
            why = str(words.get("why") or "")
            self._ready.set_result("" if words["ready"] else why or "it is not ready")
        if "enabled" in words and self._enabled is not None and not self._enabled.done():
            self._enabled.set_result(bool(words["enabled"]))
        if "cut" in words:
            self._gone(f"it cut the heat: {words['cut']}")

    def _gone(self, why: str) -> None:
        if self._ready is not None and not self._ready.done():
            self._ready.set_result(why)
        if not self._ended:
            self._ended = True
            self._lost(f"the guard is lost: {why}")

    def _write(self, line: str) -> None:
        process = self._process
        if process is not None and process.stdin is not None and not process.stdin.is_closing():
            process.stdin.write(line.encode() + b"\n")
