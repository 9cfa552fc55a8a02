"""The one step of a manual run: it does what a person types, one command after the other.

It is a step like any other: the same bench, the same inhibits at the wire; a trip, an abort or a
freeze ends or stops it as it would a step of a recipe. Every quantity has its unit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import ClassVar

from pydantic import PrivateAttr

from labctl.bench import Bench, DoseRequest, Estimate, Scene
from labctl.chemistry.flask import Flask
from labctl.errors import LabctlError, UsageError, nearest
from labctl.recipe.steps.base import Step
from labctl.units import parse, show

RATE_K_MIN = 5.0
JOG_ML_MIN = 0.5
VALVES = ("n2", "vac_rough", "vac_fine")
SWITCHES = ("fine", "jack", "fan", "shutter", "beacon")
Words = Sequence[str]
Do = Callable[["Hands", Words], Awaitable[str]]

HELP: Mapping[str, str] = {
    "read [SIGNAL]": "the latest readings, all or those that begin so",
    "set 60 C [at 5 K/min]": "heat the flask; 5 K/min unless said",
    "heat off": "heater off",
    "open n2, close n2": "a valve: n2, vac_rough, vac_fine",
    "on fan, off fan": "an output: fine, jack, fan, shutter, beacon",
    "stir 300 rpm": "turn the stir bar; 0 rpm stops it",
    "pump 20 mbar, pump off": "the rough pump, to a pressure",
    "jog pump_2 50 uL [over 10 s]": "push out of a syringe named with --holds",
    "note TEXT": "write something into the record",
    "answer N TEXT": "answer question N",
    "stop": "give up the command that runs; its syringe pump stops",
    "quit": "heater, pumps, vacuum and laser off, then leave",
}


@dataclass(frozen=True, slots=True)
class Typed:
    """A line, and who waits for what comes of it."""

    line: str
    told: asyncio.Future[str]


class Manual(Step):
    """Take typed commands until `quit`; `no_heat` says why nothing may be heated, if so."""

    verb: ClassVar[str] = "manual"

    no_heat: str = ""

    _lines: asyncio.Queue[Typed | None] = PrivateAttr(default_factory=asyncio.Queue)
    # Of the whole run: `stop` begins the step anew, and a dose is never given twice under one id.
    _jogs: Iterator[int] = PrivateAttr(default_factory=lambda: count(1))

    def estimate(self, flask: Flask, scene: Scene) -> Estimate:
        """As long as a person likes."""
        return Estimate(0.0)

    def quit(self) -> None:
        """End the step after what was typed before."""
        self._lines.put_nowait(None)

    async def typed(self, line: str) -> str:
        """Do a line when its turn comes; return what came of it.

        Raises:
            UsageError: it was refused, or given up; the message says why.
        """
        told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._lines.put_nowait(Typed(line, told))
        return await told

    async def run(self, bench: Bench) -> None:
        """Do one line after the other; a refusal is told, and ends nothing.

        Raises:
            CancelledError: the run ends, or the command was to be given up.
        """
        hands = Hands(bench, self._jogs, self.no_heat)
        while (typed := await self._lines.get()) is not None:
            try:
                said = await hands.do(typed.line)
            except LabctlError as error:
                _tell(typed.told, UsageError(str(error)))
                _given_up()
            except asyncio.CancelledError:
                _tell(typed.told, UsageError("given up before it was done"))
                raise
            else:
                _tell(typed.told, said)


def _given_up() -> None:
    """Let a trip or an abort through that met an instrument which failed on the way out.

    Raises:
        CancelledError: the step was to end meanwhile.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _tell(told: asyncio.Future[str], said: str | UsageError) -> None:
    if told.done():
        return
    if isinstance(said, UsageError):
        told.set_exception(said)
    else:
        told.set_result(said)


class Hands:
    """Does typed commands on a bench."""

    def __init__(
        self, bench: Bench, jogs: Iterator[int], no_heat: str = "", high_c: float | None = None
    ) -> None:
        self._bench = bench
        self._high_c = bench.scene.max_c if high_c is None else high_c
        self._jogs = jogs
        self._no_heat = no_heat

    async def do(self, line: str) -> str:
        """Do one command; return what it did.

        Raises:
            UsageError: it is not known, or beyond a limit.
            LabctlError: a quantity without its unit, or an inhibit or a device that refuses.
        """
        verb, *words = line.split()
        if verb not in VERBS:
            hint = nearest(verb, VERBS) or "; `help` lists them"
            raise UsageError(f"there is no command {verb!r}{hint}")
        return await VERBS[verb](self, words)

    async def set(self, words: Words) -> str:
        """`set 60 C [at 5 K/min]`.

        Raises:
            UsageError: above what is allowed here, no rate above 0, or no heat at all.
        """
        asked, rate_text = _parted(words, "at", "set 60 C at 5 K/min")
        target_c = parse(asked, "temperature").value
        rate = parse(rate_text, "temperature rate").value if rate_text else RATE_K_MIN
        if self._no_heat:
            raise UsageError(f"nothing is heated: {self._no_heat}")
        high_c = self._high_c
        if target_c > high_c:
            limit = show(high_c, "temperature")
            raise UsageError(f"{show(target_c, 'temperature')} is above the {limit} allowed here")
        if rate <= 0:
            raise UsageError("a rate is above 0 K/min")
        await self._bench.heater.ramp(target_c, rate)
        return f"heating to {show(target_c, 'temperature')} at {show(rate, 'temperature rate')}"

    async def heat(self, words: Words) -> str:
        """`heat off`.

        Raises:
            UsageError: anything but `off`.
        """
        if list(words) != ["off"]:
            raise UsageError("write `heat off`; `set 60 C` heats")
        await self._bench.off()
        return "heater off"

    async def open(self, words: Words) -> str:
        """`open n2`."""
        return await self._valve(words, open_=True)

    async def close(self, words: Words) -> str:
        """`close n2`."""
        return await self._valve(words, open_=False)

    async def _valve(self, words: Words, *, open_: bool) -> str:
        name = _one_of(words, VALVES, "valve")
        await self._bench.valve(name, open_=open_)
        return f"{name} {'open' if open_ else 'shut'}"

    async def on(self, words: Words) -> str:
        """`on fan`."""
        return await self._switch(words, on=True)

    async def off(self, words: Words) -> str:
        """`off fan`."""
        return await self._switch(words, on=False)

    async def _switch(self, words: Words, *, on: bool) -> str:
        role = _one_of(words, [role for role in SWITCHES if self._bench.has(role)], "output")
        await self._bench.switch(role, on=on)
        return f"{role} {'on' if on else 'off'}"

    async def stir(self, words: Words) -> str:
        """`stir 300 rpm`."""
        speed = parse(" ".join(words), "rotation").value
        await self._bench.stirrer.stir(speed)
        return f"stirring at {show(speed, 'rotation')}" if speed else "stirring stopped"

    async def pump(self, words: Words) -> str:
        """`pump 20 mbar` or `pump off`."""
        if list(words) == ["off"]:
            await self._bench.rough.stop()
            return "rough pump off"
        to_mbar = parse(" ".join(words), "pressure").value
        await self._bench.rough.pump_to(to_mbar)
        return f"rough pump to {show(to_mbar, 'pressure')}"

    async def jog(self, words: Words) -> str:
        """`jog pump_2 50 uL [over 10 s]`; what left the needle, by the pump's counter.

        Raises:
            UsageError: no such pump is held, nothing to push, or too fast or slow for it.
        """
        name, rest = (words[0], words[1:]) if words else ("", ())
        loads = {load.pump: load for load in self._bench.scene.loads.values() if load.pump}
        if name not in loads:
            known = ", ".join(loads) or "none"
            told = f"say with --holds what {name or 'the pump'} holds; known: {known}"
            raise UsageError(told)
        asked, over_text = _parted(rest, "over", "jog pump_2 50 uL over 10 s")
        volume_ml = parse(asked, "volume").value
        if volume_ml <= 0:
            raise UsageError("a jog pushes; give a volume above 0")
        over_s = parse(over_text, "time").value if over_text else volume_ml / JOG_ML_MIN * 60.0
        low, high = loads[name].rates_ml_min
        if over_s <= 0 or not low <= volume_ml / over_s * 60.0 <= high:
            raise UsageError(f"{name} gives {low:.3g} .. {high:.3g} mL/min with its syringe")
        request = DoseRequest(f"jog.{next(self._jogs)}", loads[name].name, volume_ml, over_s=over_s,
                              kind="prime", into="where the needle is")  # fmt: skip
        given_ml = await self._bench.dose(request)
        dry = "" if given_ml else "; a dry line keeps its volume once"
        return f"{name} is done: {show(given_ml, 'volume')} left the needle{dry}"

    async def note(self, words: Words) -> str:
        """`note TEXT`.

        Raises:
            UsageError: no text.
        """
        if not words:
            raise UsageError("a note wants a text")
        self._bench.note("note", " ".join(words))
        return "noted"


VERBS: Mapping[str, Do] = {
    "set": Hands.set,
    "heat": Hands.heat,
    "open": Hands.open,
    "close": Hands.close,
    "on": Hands.on,
    "off": Hands.off,
    "stir": Hands.stir,
    "pump": Hands.pump,
    "jog": Hands.jog,
    "note": Hands.note,
}


def _parted(words: Words, at: str, example: str) -> tuple[str, str]:
    """Split a command into a quantity and what follows a word; `example` is for the refusal.

    Raises:
        UsageError: either part is missing.
    """
    first, found, second = " ".join(words).partition(f" {at} ")
    if not first.strip() or (found and not second.strip()):
        raise UsageError(f"write it as `{example}`")
    return first.strip(), second.strip()


def _one_of(words: Words, known: Sequence[str], what: str) -> str:
    """Return the one word that is there.

    Raises:
        UsageError: none, several, or one that is not known.
    """
    if len(words) != 1 or words[0] not in known:
        hint = nearest(words[0], known) if words else ""
        raise UsageError(f"name one {what}: {', '.join(known)}{hint}")
    return words[0]
