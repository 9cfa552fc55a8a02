"""`labctl manual` on served simulators: typed lines, the interlocks, a live guard, a record."""

import json
import os
import re
import signal
import subprocess

import pytest

from labctl.clock import pause_s, wall_s
from labctl.record import open_run
from tests.labctl.hardware.conftest import LABCTL

pytestmark = pytest.mark.timeout(180)


class Session:
    """A console that is typed at; what it says is waited for."""

    def __init__(self, process, runs):
        self.process, self.runs, self.said = process, runs, ""
        os.set_blocking(process.stdout.fileno(), False)

    def type(self, line, until, within_s=40.0):
        """Type a line and wait until something new is said; return what was."""
        before = len(self.said)
        if line:
            os.write(self.process.stdin.fileno(), f"{line}\n".encode())
        end = wall_s() + within_s
        while not re.search(until, self.said[before:]):
            assert wall_s() < end, f"{until!r} did not come after {line!r}: {self.said[before:]}"
            data = self.process.stdout.read()
            self.said += data.decode() if data else ""
            pause_s(0.05)
        return self.said[before:]

    def ready(self):
        """Wait until the rig is connected and read."""
        end = wall_s() + 30
        while "flask.T " not in self.type("read", r"unknown|°C|nothing is read|no signal"):
            assert wall_s() < end, self.said
            pause_s(0.5)
        self.type("note begun", "noted")

    def contactor_closed(self):
        """Whether the guard, which holds its port while it lives, was asked to close it."""
        (log,) = self.runs.glob("*/guard.jsonl")
        return "enabled" in [json.loads(row)["what"] for row in log.read_text().splitlines()]

    def left(self):
        code = self.process.wait(40)
        (directory,) = self.runs.iterdir()
        with open_run(directory) as record:
            return code, record.meta, [(c.verb, c.accepted, c.reason) for c in record.commands]


@pytest.fixture
def console(rig, tmp_path):
    """`console(*words, **changed)`: a session on the served rig, texts of its file changed."""
    going = []

    def begin(*words, **changed):
        text = rig.file.read_text()
        for old, new in changed.values():
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "rig.yaml").write_text(text)
        command = [*LABCTL, "manual", str(tmp_path / "rig.yaml"), "--operator", "MT", *words]
        process = subprocess.Popen(
            [*command, "--runs", str(tmp_path / "runs")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        going.append(process)
        session = Session(process, tmp_path / "runs")
        session.ready()
        return session

    yield begin
    for process in going:
        if process.poll() is None:
            process.terminate()
            process.wait(30)
        process.stdin.close()
        process.stdout.close()


def test_a_person_jogs_turns_valves_stirs_and_heats_under_the_interlocks(rig, console):
    session = console("--holds", "pump_2=room", "--holds", "pump_1=95C")
    assert "warm_line requires" in session.type("jog pump_1 50 uL", "not done")
    assert "has no unit" in session.type("stir 300", "not done")
    assert "stirring requires" in session.type("jog pump_2 50 uL", "not done")
    session.type("stir 300 rpm", "stirring at 300 rpm")
    session.type("open n2", "n2 open")
    assert "n2_or_vac requires" in session.type("open vac_rough", "not done")
    pause_s(3)
    assert "left the needle" in session.type("jog pump_2 100 uL over 3 s", "is done")
    os.write(session.process.stdin.fileno(), b"jog pump_2 300 uL over 60 s\n")
    pause_s(3)
    assert "given up" in session.type("stop", "not done")
    assert "0.05 mL left the needle" in session.type("jog pump_2 50 uL over 3 s", "is done")
    assert "say with --holds" in session.type("jog pump_3 50 uL", "not done")
    assert "above the 345" in session.type("set 400 C", "not done")
    assert not session.contactor_closed(), "it is closed only when heat is asked for"
    session.type("set 60 C", "heating to 60 °C at 5 K/min")
    assert session.contactor_closed()
    said = session.type("quit", "recorded: ")
    assert "n2 is on or open" in said
    assert re.search(r"the bar turns at (299|300|301)", said)
    code, meta, commands = session.left()
    with open_run(next(session.runs.iterdir())) as record:
        given = [(dose.id, dose.state, dose.delivered_ml) for dose in record.doses]
    states = ["refused", "refused", "done", "done", "done"]
    assert [(id_, state) for id_, state, _ in given] == [
        (f"jog.{n}", state) for n, state in enumerate(states, 1)
    ]
    assert [given[0][2], given[1][2]] == [0.0, 0.0]
    assert 0.0 < given[3][2] < 0.1, "what went out before `stop`"
    assert given[4][2] == pytest.approx(0.05, abs=0.002)
    assert (code, meta.outcome, meta.recipe_name, meta.simulated) == (
        0,
        "complete",
        "manual",
        False,
    )
    assert ("open n2", True, "") in commands
    assert any(verb == "set 400 C" and not accepted for verb, accepted, _ in commands)
    assert rig.coils() == 0
    assert rig.heater_output() == 0.0


def test_a_trip_ends_it_in_the_safe_state_whatever_is_typed(rig, console):
    trip = ("require: flask.T < 345 C, max_age: 5 s, for: 2 s",
            "require: stirrer.speed < 500 rpm, max_age: 9 s, for: 1 s")  # fmt: skip
    session = console(trip=trip)
    session.type("set 60 C at 15 K/min", "heating")
    session.type("stir 800 rpm", "stirring")
    session.type("", "ended in the safe state: interlock too_hot tripped", within_s=90.0)
    code, meta, _ = session.left()
    assert (code, meta.outcome) == (3, "safe")
    assert rig.coils() == 0
    assert rig.heater_output() == 0.0


def test_ctrl_c_ends_it_in_the_safe_state(rig, console):
    session = console()
    session.type("set 40 C", "heating")
    session.process.send_signal(signal.SIGINT)
    code, meta, _ = session.left()
    assert (code, meta.outcome) == (130, "safe")
    assert rig.heater_output() == 0.0


def test_nothing_is_heated_while_a_cutout_test_is_overdue(rig, console):
    tested = re.search(r"tested: [\d-]+, every: 30 d", rig.file.read_text())[0]
    session = console(old=(tested, "tested: 2020-01-01, every: 30 d"))
    assert "cut-out estop" in session.said
    said = session.type("set 60 C", "not done")
    assert "nothing is heated: cut-out estop" in said
    assert not session.contactor_closed()
    session.type("quit", "recorded")
    assert rig.coils() == 0
