"""Polls every instrument at its period, staggered; a poll that really waits becomes a task."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from dataclasses import dataclass

from labctl.clock import NS, Clock, Priority
from labctl.errors import AbandonedError, DeviceError

Poll = Callable[[], Awaitable[Sequence[float | None]]]
Sink = Callable[[Sequence[float | None]], None]

SLOTS_END_NS = 900_000_000


@dataclass
class Polled:
    """One instrument's place in the schedule; `running` while a poll waits for its reply.

    `failed` counts the polls in a row without an answer, `answered_ns` is when the last one came.
    """

    name: str
    poll: Poll
    sink: Sink
    width: int
    period_ns: int
    running: bool = False
    silent: bool = False
    failed: int = 0
    answered_ns: int = 0


class Poller:
    """One task that runs all polls; `failed` is told once when an instrument falls silent."""

    def __init__(self, clock: Clock, told: Callable[[str, str, bool], None]) -> None:
        self._clock = clock
        self._told = told
        self._due: list[tuple[int, int, Polled]] = []
        self._order = itertools.count()
        self._polled: dict[str, Polled] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, name: str, poll: Poll, sink: Sink, width: int, period_s: float) -> None:
        """Put an instrument on the schedule."""
        polled = Polled(name, poll, sink, width, round(period_s * NS))
        polled.answered_ns = self._clock.now_ns()
        self._polled[name] = polled

    def hurry(self, name: str, period_s: float) -> None:
        """Change an instrument's period; takes effect with its next poll."""
        if name in self._polled:
            self._polled[name].period_ns = round(period_s * NS)

    async def run(self) -> None:
        """Poll until cancelled."""
        self._stagger()
        try:
            while self._due:
                due_ns, _, polled = heapq.heappop(self._due)
                await self._clock.sleep_until(due_ns, Priority.POLL)
                after_ns, now_ns = due_ns + polled.period_ns, self._clock.now_ns()
                after_ns = max(after_ns, now_ns)
                heapq.heappush(self._due, (after_ns, next(self._order), polled))
                if not polled.running:
                    self._start(polled)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def polled(self, name: str) -> Polled:
        """Return what is known of an instrument's polls."""
        return self._polled[name]

    def silent(self) -> tuple[str, ...]:
        """Return the instruments that did not answer when last asked."""
        return tuple(name for name, polled in self._polled.items() if polled.silent)

    def _stagger(self) -> None:
        """Give each instrument its slot within the second, and slow ones different seconds.

        A reply that comes before the next slot costs no turn of the event loop in virtual time.
        """
        start_ns = self._clock.now_ns() // NS * NS + NS
        slot_ns = SLOTS_END_NS // max(1, len(self._polled))
        for n, polled in enumerate(self._polled.values()):
            seconds = max(1, polled.period_ns // NS)
            phase_ns = n * slot_ns + n % seconds * NS
            heapq.heappush(self._due, (start_ns + phase_ns, next(self._order), polled))

    def _start(self, polled: Polled) -> None:
        polled.running = True
        once = self._once(polled)
        self._clock.horizon(self._due[0][0])
        try:
            waits_for = once.send(None)
        except StopIteration:
            return
        finally:
            self._clock.horizon(None)
        task = asyncio.create_task(_go_on(once, waits_for), name=f"poll {polled.name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _once(self, polled: Polled) -> None:
        try:
            values = await polled.poll()
            polled.failed, polled.answered_ns = 0, self._clock.now_ns()
            if polled.silent:
                self._speaks(polled)
        except AbandonedError:
            return
        except DeviceError as error:
            values = (None,) * polled.width
            polled.failed += 1
            if not polled.silent:
                polled.silent = True
                self._told(polled.name, str(error), True)
        finally:
            polled.running = False
        polled.sink(values)

    def _speaks(self, polled: Polled) -> None:
        polled.silent = False
        self._told(polled.name, "answers again", False)


async def _go_on(coroutine: Coroutine[object, None, None], waits_for: object) -> None:
    await _rest_of(coroutine, waits_for)


@types.coroutine
def _rest_of(
    coroutine: Coroutine[object, None, None], waits_for: object
) -> Generator[object, None, None]:
    """Finish a coroutine that has already run up to its first wait."""
    while True:
        try:
            yield waits_for
        except BaseException as error:  # noqa: BLE001 - handed to the coroutine, which decides
            try:
                waits_for = coroutine.throw(error)
            except StopIteration:
                return
        else:
            try:
                waits_for = coroutine.send(None)
            except StopIteration:
                return
