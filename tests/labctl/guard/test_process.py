"""The guard as a process of its own, against simulated instruments on pseudo-terminals."""

import asyncio
import json
import os
import signal
import sys
from contextlib import asynccontextmanager

import pytest

from labctl.capabilities import DeviceSettings
from labctl.clock import WallClock
from labctl.guard.will import Bequest, Contactor, Line, Will, decode
from labctl.registry import load
from labctl.twin import TwinDevice
from simulators.serve import Ticked, serve_pty

OUTPUTS = {"contactor": 1}


def simulated(kind, plant, touches, **settings):
    device = TwinDevice("unit", kind, "line", DeviceSettings("unit", **settings), touches)
    return load("simulators", kind)(device, plant)


class Scene:
    """A contactor, a pump that pushes, a process to watch, and the guard."""

    def __init__(self, plant, will, guard, watched, log):
        self.plant, self.will, self.guard, self.watched, self.log = plant, will, guard, watched, log
        self.seq = 0

    async def say(self, **words):
        self.guard.stdin.write(json.dumps(words).encode() + b"\n")
        await self.guard.stdin.drain()

    async def beat(self, age_s=0.5, heating=True):
        self.seq += 1
        beat = {"seq": self.seq, "state": "running", "age_s": age_s, "heating": heating}
        await self.say(beat=beat)

    async def heard(self, word):
        while line := await asyncio.wait_for(self.guard.stdout.readline(), 10):
            words = json.loads(line)
            if word in words:
                return words[word]
        return None

    @property
    def closed(self):
        return self.plant.things.get("contactor") == 1.0

    def rows(self):
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def cut(self):
        return next(row for row in self.rows() if row["what"] == "cut")


@pytest.fixture
def scene(still_plant, tmp_path):
    @asynccontextmanager
    async def made(beat_s=1.0, bequests=True):
        plant, clock = still_plant(), WallClock()
        board = simulated("modbus_relay_8ch", plant, {"contactor": "contactor"}, outputs=OUTPUTS)
        pump = simulated("newera_ne1000", plant, {}, address=0, bore_mm=14.43, syringe_ml=10.0)
        on_board = await serve_pty(Ticked(board), clock.now_ns)
        on_pump = await serve_pty(Ticked(pump), clock.now_ns)
        pump.feed(b"0VER\r0DIA14.43\r0RAT1.0MM\r0VOL5.0\r0RUN\r", clock.now_ns())
        watched = await asyncio.create_subprocess_exec("sleep", "60")
        frames = load("drivers", "modbus_relay_8ch").switching(1, 1)
        contactor = Contactor(
            Line("guard", on_board.path), frames.off, frames.is_off, frames.on, frames.is_on
        )
        given = (Bequest("pump", "pumps", (b"0STP\r", b"0STP\r")),) if bequests else ()
        lines = (Line("pumps", on_pump.path, 19200),)
        will = Will(watched.pid, contactor, lines, given, beat_s, 5.0)
        log = tmp_path / "guard.jsonl"
        guard = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "labctl.guard", str(log)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        found = Scene(plant, will, guard, watched, log)
        found.pump = pump
        try:
            guard.stdin.write(will.encode().encode() + b"\n")
            yield found
        finally:
            for process in (guard, watched):
                if process.returncode is None:
                    process.kill()
                await process.wait()
            guard.stdin.close()
            await on_board.close()
            await on_pump.close()

    return made


def test_a_will_comes_back_from_its_line_as_it_was():
    line = Line("a", "/dev/ttyUSB0", 19200, 7, "E", 2)
    contactor = Contactor(line, b"\x01", b"\x02", b"\x03", b"\xff")
    will = Will(7, contactor, (line,), (Bequest("d", "a", (b"STOP\r",), 0.2),), 2.0, 4.0, ("x",))
    assert decode(will.encode()) == will
    with pytest.raises(ValueError, match="no last will"):
        decode("{}")


async def test_heat_is_cut_the_run_killed_and_its_will_done_when_heartbeats_stop(scene):
    async with scene() as s:
        assert await s.heard("ready") is True
        await s.say(enable=True)
        assert await s.heard("enabled") is True
        assert s.closed
        await s.beat()
        assert await s.heard("cut") == s.cut()["reason"]
        assert await asyncio.wait_for(s.guard.wait(), 10) == 3
        assert await s.watched.wait() == -signal.SIGKILL
        assert not s.closed
        assert s.cut()["reason"].startswith("no heartbeat for 1.")
        assert s.pump.feed(b"0\r", 10**12)[0][1][3:4] == b"S"
        assert [(r["device"], r["sent"]) for r in s.rows() if r["what"] == "will"] == [
            ("pump", True)
        ]
        assert s.rows()[-1]["what"] == "over"


async def test_a_pipe_that_closes_is_a_run_that_died(scene):
    async with scene(beat_s=30.0) as s:
        await s.say(enable=True)
        assert await s.heard("enabled") is True
        await s.beat()
        s.guard.stdin.close()
        assert await asyncio.wait_for(s.guard.wait(), 10) == 3
        assert not s.closed
        assert "pipe" in s.cut()["reason"]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ({"beat": {"seq": 1, "state": "running", "age_s": 0.1, "heating": True}}, "came after 1"),
        ({"beat": {"seq": 2, "state": "running", "age_s": 6.0, "heating": True}}, "6.0 s old"),
        ({"beat": {"seq": 2, "state": "running", "age_s": None, "heating": True}}, "inf s old"),
        ({"beat": {"seq": "two"}}, "cannot be read"),
    ],
)
async def test_a_heartbeat_that_makes_no_sense_is_as_bad_as_none(scene, words, reason):
    async with scene(beat_s=30.0, bequests=False) as s:
        await s.beat()
        assert await s.heard("seq") == 1
        await s.say(**words)
        assert await asyncio.wait_for(s.guard.wait(), 10) == 3
        assert reason in s.cut()["reason"]


async def test_an_old_temperature_does_not_matter_while_nothing_heats(scene):
    async with scene(beat_s=30.0) as s:
        await s.beat(age_s=600.0, heating=False)
        assert await s.heard("seq") == 1
        await s.say(done=True)
        assert await asyncio.wait_for(s.guard.wait(), 10) == 0


async def test_a_run_that_ends_well_leaves_the_contactor_open_and_the_rest_alone(scene):
    async with scene() as s:
        await s.say(enable=True)
        assert await s.heard("enabled") is True
        await s.beat()
        await s.say(done=True)
        assert await asyncio.wait_for(s.guard.wait(), 10) == 0
        assert not s.closed
        assert s.watched.returncode is None
        assert s.pump.feed(b"0\r", 10**9)[0][1][3:4] == b"I"


async def test_no_signal_of_a_terminal_ends_the_guard(scene):
    async with scene(beat_s=30.0) as s:
        await s.beat()
        assert await s.heard("seq") == 1
        for number in (signal.SIGINT, signal.SIGHUP):
            os.kill(s.guard.pid, number)
        await s.beat()
        assert await s.heard("seq") == 2


async def test_without_its_contactor_the_guard_says_why_and_does_not_begin(tmp_path):
    line = Line("guard", str(tmp_path / "nothing"))
    will = Will(os.getpid(), Contactor(line, b"1", b"1", b"2", b"2"))
    guard = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "labctl.guard", str(tmp_path / "log")),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await guard.communicate(will.encode().encode() + b"\n")
    assert guard.returncode == 2
    assert json.loads(said)["ready"] is False
    assert "nothing" in json.loads(said)["why"]
