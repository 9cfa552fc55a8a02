"""`calibrate`: guides a person through a calibration and writes it into the rig file.

Only the device, and for a pump its line valve, is opened, for each reading or shot anew: nothing is
held on while somebody weighs. Nothing is ever heated.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import statistics
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar, cast

from labctl.capabilities import PumpState, Reply, SyringePump, Task
from labctl.chemistry.substances import find
from labctl.cli.asking import ask, later, quantity, quantity_or_end, word
from labctl.cli.options import add_runs, options
from labctl.cli.watching import add_operator
from labctl.clock import NS, WallClock, today
from labctl.errors import ExitCode, UsageError, nearest
from labctl.record import find_run, open_run
from labctl.replay.commissioned import measured, source_of
from labctl.rig.calibrating import (
    LEAST_SHOTS,
    Made,
    dates,
    delivered,
    delivered_words,
    points_text,
)
from labctl.rig.correcting import RAW
from labctl.rig.devices import HeaterEntry, PumpEntry, SpectrometerEntry, StirrerEntry
from labctl.rig.load import load_rig
from labctl.rig.model import LoadedRig
from labctl.rig.opening import OpenRig
from labctl.rig.rewriting import with_values, write_rig
from labctl.rig.wires import hardware_wires
from labctl.source import Place, compose
from labctl.units import show

READINGS, APART_S, RESTLESS_K = 10, 1.0, 0.5
LATE_S = 15.0
SHORT_FRACTION = 0.01
T = TypeVar("T")


def run(command: str, arguments: list[str]) -> int:
    """Calibrate one device with a person, and write the result down if they agree.

    Raises:
        UsageError: no such device, or none that a person can calibrate so.
    """
    parser = options(command)
    parser.add_argument("rig", type=Path, metavar="RIG", help="the rig's file; it is rewritten")
    parser.add_argument("device", metavar="DEVICE", help="heater, pump_1, flask50 …")
    parser.add_argument("--from", dest="run", metavar="RUN", help="what a commissioning run found")
    even = "write what a dry run found, which is true of the simulated rig only"
    parser.add_argument("--even-simulated", action="store_true", help=even)
    add_operator(parser)
    add_runs(parser)
    asked = parser.read(arguments)
    rig = load_rig(asked.rig)
    if asked.run is None:
        return _written(asked.rig, [_guide(rig, asked.device)], asked.operator, today())
    with open_run(find_run(asked.runs, asked.run)) as run:
        source, found = source_of(run), measured(run, rig.model.name, asked.device)
    if source.simulated and not asked.even_simulated:
        print("\n".join([*_shown(found), "a dry run found this: nothing was written"]))
        return ExitCode.REFUSED
    return _written(asked.rig, found, source.by, source.day)


def _shown(found: Sequence[Made]) -> list[str]:
    rows: list[str] = []
    for made in found:
        rows += [made.told, *(f"  {key}: {value}" for key, value in made.words.items())]
    return rows


def _written(path: Path, found: Sequence[Made], by: str, day: dt.date) -> ExitCode:
    """Write what was found, with its dates, if the person agrees."""
    print("\n".join(_shown(found)))
    noted = dates(by, day, ask("good until (a date)", later(today())))
    print("\n".join(f"  {key}: {value}" for key, value in noted.items()))
    places = ", ".join(".".join(map(str, made.place)) for made in found)
    if ask(f"write it as {places}? yes or no", word("yes", "no")) == "no":
        print("nothing was written")
        return ExitCode.REFUSED
    document = load_rig(path).document
    for made in found:
        text = with_values(document, made.place, {**made.words, **noted})
        document = compose(text, document.file)
    write_rig(path, document.text)
    print(f"written into {path}")
    return ExitCode.COMPLETE


def _guide(rig: LoadedRig, name: str) -> Made:
    entry = rig.model.devices.get(name)
    if entry is None:
        known = rig.model.devices
        raise UsageError(f"{rig.model.name} has no device {name!r}{nearest(name, known)}")
    if isinstance(entry, HeaterEntry):
        return _thermometer(rig, name)
    if isinstance(entry, StirrerEntry) and entry.probe2 is not None:
        return _offset(rig, name)
    if isinstance(entry, PumpEntry):
        return _syringe(rig, name, entry)
    if isinstance(entry, SpectrometerEntry) and entry.probe is not None:
        path_mm = ask("optical path, as measured, e.g. 2.00 mm", quantity("length"))
        told = (
            f"path {show(path_mm, 'length')}; the rig file has {show(entry.probe.path, 'length')}"
        )
        return Made(("devices", name, "probe"), {"path": f"{path_mm:g} mm"}, told)
    raise UsageError(
        f"{name} has nothing that is calibrated at the terminal: a thermometer, a syringe, the "
        "offset of a second probe or an optical path; write its dates into the rig file by hand"
    )


def _thermometer(rig: LoadedRig, name: str) -> Made:
    points = _points(rig, name)
    told = "\n".join(f"  reads {reads:.2f} °C at {true:.2f} °C" for reads, true in sorted(points))
    place: Place = ("devices", name, "calibration")
    return Made(place, {"reads_true": points_text(points)}, told)


def _offset(rig: LoadedRig, name: str) -> Made:
    apart = [true - reads for reads, true in _points(rig, name)]
    offset_k = statistics.fmean(apart)
    told = f"offset {offset_k:+.2f} K, from {len(apart)} points"
    return Made(("devices", name, "probe2"), {"offset": f"{offset_k:.2f} K"}, told)


def _points(rig: LoadedRig, name: str) -> list[tuple[float, float]]:
    """Have the probe and a reference thermometer put into one bath after the other."""
    print(
        f"Put the probe of {name} and the reference thermometer into the same stirred bath: ice, "
        "boiling water, hot oil.\nNothing is heated. Wait until both are at rest."
    )
    points: list[tuple[float, float]] = []
    while True:
        prompt = f"point {len(points) + 1}: the reference shows (`end` when done)"
        true_c = ask(prompt, quantity_or_end("temperature"))
        if true_c is None and points:
            return points
        if true_c is None:
            print("  one point at least is needed")
            continue
        reads = asyncio.run(_opened(rig, (name,), lambda opened: _readings(opened, name)))
        spread = max(reads) - min(reads)
        reads_c = statistics.fmean(reads)
        print(f"  {name} reads {reads_c:.2f} °C (spread {spread:.2f} K)")
        if spread > RESTLESS_K:
            print("  it is not at rest; wait, then give the reference again")
            continue
        points.append((round(reads_c, 2), true_c))


async def _readings(opened: OpenRig, name: str) -> list[float]:
    """Read what the thermometer itself says, some seconds long.

    Raises:
        UsageError: the probe gives no reading.
    """
    device, clock = opened.devices[name], WallClock()
    names = [channel.name for channel in device.channels]
    plain = next(c for c in ("pv", "probe2") if c in names)
    at = names.index(plain + RAW) if plain + RAW in names else names.index(plain)
    found: list[float] = []
    for _ in range(READINGS):
        value = (await device.poll())[at]
        if value is None:
            raise UsageError(f"{name} gives no reading: is the probe connected?")
        found.append(value)
        await clock.sleep_until(clock.now_ns() + round(APART_S * NS))
    return found


def _syringe(rig: LoadedRig, name: str, entry: PumpEntry) -> Made:
    liquid = ask("liquid in the syringe, e.g. ODE", find)
    volume_ml = ask("volume of a shot, e.g. 0.5 mL", quantity("volume"))
    over_s = ask("each over, e.g. 30 s", quantity("time"))
    print(
        f"{liquid.name}: {liquid.density_g_ml:g} g/mL at 25 °C; weigh at that temperature.\n"
        f"Take the needle of {name} out of the flask and hold it into a tared vial, the line full."
    )
    names = (name, _board(rig, entry)) if entry.valve else (name,)
    masses: list[float] = []
    while True:
        wanted = f"shot {len(masses) + 1}: `go` with the needle in a tared vial"
        if len(masses) >= LEAST_SHOTS:
            wanted += ", or `end`"
        known = ("go", "end") if len(masses) >= LEAST_SHOTS else ("go",)
        if ask(wanted, word(*known)) == "end":
            break
        shot = _Shot(name, entry, volume_ml, volume_ml / over_s * 60.0)
        counted_ml = asyncio.run(_opened(rig, names, shot))
        print(f"  {name} counted {show(counted_ml, 'volume')}")
        if abs(counted_ml - volume_ml) > SHORT_FRACTION * volume_ml:
            raise UsageError(f"{name} stopped short of {show(volume_ml, 'volume')}; begin again")
        masses.append(ask("  mass in the vial, e.g. 0.394 g", quantity("mass")))
    found = delivered(masses, liquid.density_g_ml, volume_ml)
    told = f"delivered {found.mean:.2%}, sd {found.sd:.2%}, {found.shots} shots"
    return Made(("devices", name, "calibration"), delivered_words(found, liquid.name), told)


def _board(rig: LoadedRig, entry: PumpEntry) -> str:
    """Return the board that turns a pump's line valve.

    Raises:
        UsageError: a person turns it.
    """
    board = rig.entry("manifold")[0]
    if rig.model.devices[board].kind == "operator":
        raise UsageError(f"valve {entry.valve} is turned by hand; leave it out of the rig file")
    return board


@dataclass(frozen=True, slots=True)
class _Shot:
    """One shot into a vial; returns what the pump counted, in mL."""

    name: str
    entry: PumpEntry
    volume_ml: float
    rate_ml_min: float

    async def __call__(self, opened: OpenRig) -> float:
        pump = cast("SyringePump", opened.devices[self.name])
        await pump.reset_counter()
        await self._line(opened, on=True)
        try:
            await pump.infuse(self.volume_ml, self.rate_ml_min)
            await self._wait(pump)
            return await pump.dispensed_ml()
        finally:
            await pump.make_safe()
            await self._line(opened, on=False)

    async def _wait(self, pump: SyringePump) -> None:
        clock = WallClock()
        end_ns = round((self.volume_ml / self.rate_ml_min * 60.0 + LATE_S) * NS)
        while clock.now_ns() < end_ns:
            state = await pump.state()
            if state is not PumpState.INFUSING:
                break
            await clock.sleep_until(clock.now_ns() + NS // 4)
        if state not in {PumpState.IDLE, PumpState.PAUSED}:
            raise UsageError(f"{self.name} is {state.value} and was stopped; begin again")

    async def _line(self, opened: OpenRig, *, on: bool) -> None:
        if self.entry.valve:
            output = opened.valve(self.entry.valve)
            await output.board.switch(output.name, on)


class _Nobody:
    """Nobody is asked to turn anything while a device is calibrated."""

    async def do(self, task: Task) -> Reply:
        return Reply(text="refused")


async def _opened(
    rig: LoadedRig, names: tuple[str, ...], use: Callable[[OpenRig], Awaitable[T]]
) -> T:
    """Open some devices of a rig, use them, and close them.

    Raises:
        DeviceError: a port that cannot be opened, or an instrument that does not answer.
    """
    devices = {name: rig.model.devices[name] for name in names}
    part = replace(rig, model=rig.model.model_copy(update={"devices": devices}))
    clock = WallClock()
    opened = OpenRig(part, _Nobody(), hardware_wires(part, clock), clock)
    try:
        await opened.connect()
        return await use(opened)
    finally:
        await opened.close()
