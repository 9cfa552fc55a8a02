"""A rig served in real time by a process of its own, and runs on it as a person starts them."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import serial

from labctl.clock import local_now, pause_s, utc_now, wall_s
from labctl.control.client import Client
from labctl.control.server import FILE_NAME
from labctl.engine.fitness import checks_of
from labctl.errors import UsageError
from labctl.framing.modbus import reply_length, seal
from labctl.prepare import Request, prepare
from labctl.record import open_run
from labctl.record.preflights import Kept, Outcome, keep

ROOT = Path(__file__).parents[3]
LABCTL = (sys.executable, "-m", "labctl")
RECIPE = """
labctl: recipe/1
name: warm
needs: {{vessel: 50 mL, max_T: 100 C}}
reagents:
  SQ: {{is: squalane}}
park: {{work: 25 C}}
stages:
  work:
  - charge: {{reagent: SQ, volume: 10 mL, by: hand}}
  - stir: 600 rpm
  - ramp: {{to: {to}, rate: 15 K/min, within: 4 K}}
  - hold: {{for: 2 s}}
"""
SHEET = """
labctl: batch/1
sample: T-1
operator: YK
second: MT
vessel: flask50
loads:
  SQ: {lot: a, by: hand}
accept: {thermal.air_exposure: {reason: nothing in it minds air, by: MT, date: 2025-11-03}}
"""


AGREES = {"go on", "again", "given in full"}


class Rig:
    """The served rig: where its files and ports are."""

    def __init__(self, folder: Path, devices: dict) -> None:
        self.folder = folder
        self.file = folder / "moved.yaml"
        self.devices = devices

    def coils(self) -> int:
        """Read the relay that holds the contactor, over its own port."""
        return self._ask("guard", bytes((1, 1, 0, 0, 0, 8)))[3] & 1

    def heater_output(self) -> float:
        """Read the controller's working output in percent."""
        return int.from_bytes(self._ask("heater", bytes((1, 3, 0, 4, 0, 1)))[3:5]) / 10.0

    def _ask(self, device: str, body: bytes) -> bytes:
        with serial.Serial(self.devices[device]["pty"], 9600, timeout=0.1, exclusive=True) as port:
            port.read(200)
            port.write(seal(body))
            got = b""
            end = wall_s() + 3
            while reply_length(got) is None and wall_s() < end:
                got += port.read(1)
            return got


class Going:
    """A run that goes on: its directory, and what a person does with it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def ask(self, verb: str, **words: object) -> dict:
        with Client(self.directory) as client:
            return client.ask(verb, **words)

    @property
    def pid(self) -> int:
        return json.loads((self.directory / FILE_NAME).read_text())["pid"]

    def status(self) -> dict:
        """Ask where it is.

        Raises:
            UsageError: it came to its end between the question and the answer.
        """
        answer = self.ask("status")
        if "status" not in answer:
            raise UsageError(answer["reason"])
        return answer["status"]

    def until(self, step: str, within_s: float = 60.0) -> None:
        """Answer what is asked until a step goes on."""
        end = wall_s() + within_s
        while wall_s() < end:
            status = self.status()
            for question in status["questions"]:
                wanted = [c for c in question["choices"] if c in AGREES]
                text = wanted[0] if wanted else "done"
                answer = {"question": question["number"], "text": text, "by": ["YK"]}
                assert self.ask("answer", **answer)["accepted"]
            if status["step"] == step and status["state"] == "running":
                return
            pause_s(0.1)
        raise AssertionError(f"{step} did not come within {within_s:g} s: {self.status()}")

    def wait(self, within_s: float = 60.0) -> str:
        """Wait for the end and return the outcome."""
        end = wall_s() + within_s
        while (self.directory / FILE_NAME).exists() and wall_s() < end:
            pause_s(0.1)
        with open_run(self.directory) as run:
            return run.meta.outcome

    def kill(self) -> float:
        """Kill the conducting process, and return within how many s the guard cut the heat."""
        os.kill(self.pid, signal.SIGKILL)
        struck_s = dt.datetime.fromisoformat(utc_now()).timestamp()
        rows = self.guard_over()
        return next(r["utc_s"] for r in reversed(rows) if r["what"] == "cut") - struck_s

    def resume(self) -> None:
        """Have labctl go on with it, as a person does."""
        command = (*LABCTL, "resume", str(self.directory), "--operator", "YK", "--detach")
        said = subprocess.run(command, capture_output=True, text=True, check=False)
        assert said.returncode == 0, said.stdout + said.stderr

    def finish(self, within_s: float = 150.0) -> str:
        """Answer what is asked until the end; return the outcome."""
        end = wall_s() + within_s
        while (self.directory / FILE_NAME).exists() and wall_s() < end:
            with contextlib.suppress(UsageError, AssertionError):
                self.until("", 0.2)
        return self.wait(5.0)

    def guard_log(self) -> list[dict]:
        file = self.directory / "guard.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()]

    def guard_over(self, within_s: float = 20.0) -> list[dict]:
        """Wait until the guard has said its last word."""
        end = wall_s() + within_s
        while wall_s() < end:
            rows = self.guard_log()
            if rows[-1]["what"] in {"over", "done"}:
                return rows
            pause_s(0.1)
        raise AssertionError(f"the guard does not come to its end: {rows}")


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rig")
    command = (*LABCTL, "simulate", str(ROOT / "rigs/schlenk.yaml"), "--pty", "--format", "json")
    process = subprocess.Popen(
        [*command, "--write-rig", str(folder / "moved.yaml")], stdout=subprocess.PIPE, text=True
    )
    try:
        yield Rig(folder, json.loads(process.stdout.readline())["devices"])
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        process.stdout.close()


def fit(runs: Path, request: Request) -> None:
    """Let a preflight of the rig stand that found everything fit a moment ago."""
    planned, _ = prepare(request)
    at = local_now().isoformat()
    rows = [
        Outcome(c.id, c.by, c.what, "as wanted", c.limit, True, c.do, at, c.holds_for)
        for c in checks_of(planned)
    ]
    keep(runs, Kept(planned.rig.model.name, at, "YK", "earlier", tuple(rows)))


@pytest.fixture
def started(rig, tmp_path):
    """Start runs as a person does; whatever still goes on at the end is killed.

    `python` is run by each of its processes before anything else.
    """
    going: list[Going] = []

    def start(
        to: str = "26 C",
        recipe: str = RECIPE,
        sheet: str = SHEET,
        more: tuple[str, ...] = (),
        *,
        python: str = "",
        looked: bool = True,
    ) -> Going:
        (tmp_path / "r.yaml").write_text(recipe.format(to=to))
        (tmp_path / "s.yaml").write_text(sheet)
        if looked:
            fit(tmp_path / "runs", Request(tmp_path / "r.yaml", rig.file, tmp_path / "s.yaml"))
        command = (*LABCTL, "run", "r.yaml", "--rig", str(rig.file), "--batch", "s.yaml", "--yes")
        options = ("--operator", "YK", "--detach", "--format", "json", "--runs", "runs")
        (tmp_path / "sitecustomize.py").write_text(python)
        said = subprocess.run(
            [*command, *options, *more],
            cwd=tmp_path,
            env=os.environ | ({"PYTHONPATH": f"{ROOT}:{tmp_path}"} if python else {}),
            capture_output=True,
            text=True,
            check=False,
        )
        assert said.returncode == 0, said.stderr
        going.append(Going(tmp_path / json.loads(said.stdout)["directory"]))
        return going[-1]

    yield start
    for run in going:
        try:
            os.kill(run.pid, signal.SIGKILL)
        except (FileNotFoundError, ProcessLookupError, UsageError):
            continue
        run.guard_over()
