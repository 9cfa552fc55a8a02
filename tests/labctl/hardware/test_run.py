"""Whole runs in real time on a rig whose simulators are served on pseudo-terminals."""

import datetime as dt
import json
import os
import signal
import subprocess
import sys

import pytest

from labctl.clock import pause_s, utc_now, wall_s
from labctl.control.server import FILE_NAME
from labctl.record import open_run
from labctl.rig.capturing import captured_devices
from labctl.transport.capture import OUT, read_capture

pytestmark = pytest.mark.timeout(180)


def test_a_run_goes_on_by_itself_and_leaves_a_record_and_an_open_contactor(rig, started):
    run = started()
    run.until("work.3")
    assert (run.directory / FILE_NAME).stat().st_mode & 0o77 == 0
    assert run.wait() == "complete"
    assert [row["what"] for row in run.guard_over()] == ["ready", "enabled", "done"]
    assert rig.coils() == 0
    with open_run(run.directory) as record:
        assert record.meta.simulated is False
        assert record.meta.product is None
    assert (run.directory / "report.html").exists()


def test_a_run_on_a_rig_that_was_not_looked_at_begins_with_its_preflight(rig, started):
    run = started(looked=False)
    end = wall_s() + 30
    while not (asked := run.status()["questions"]):
        assert wall_s() < end
        pause_s(0.1)
    assert run.status()["step"] == "preflight"
    assert asked[0]["text"].startswith("N2 on")
    assert asked[0]["default"] == "no"
    assert not run.ask("skip", actor="YK")["accepted"]
    run.ask("abort", actor="YK", text="not today")
    assert run.wait() == "safe"
    assert "enabled" not in [row["what"] for row in run.guard_log()]


def test_all_that_crosses_the_ports_is_kept_where_that_is_asked(started):
    run = started(more=("--capture",))
    run.until("work.3")
    assert run.wait() == "complete"
    run.guard_over()
    kept = {file.stem: read_capture(file) for file in (run.directory / "wire").glob("*.jsonl")}
    assert {"bus", "stir", "pumps", "gauge", "hdx", "qepro", "obis", "cvc"} <= kept.keys()
    heated = [row.data for row in kept["bus"].bytes_ if row.way == OUT and row.data[:2] == b"\1\6"]
    assert heated, "the setpoint was written to the controller"
    assert any(row.data.startswith(b"OUT_SP_4 600") for row in kept["stir"].bytes_)
    names = {device.name for device in captured_devices(kept["bus"])}
    assert names == {"heater", "warm", "valves", "aux"}


def test_an_abort_ends_in_the_safe_state_with_its_reason_on_record(rig, started):
    run = started("90 C")
    run.until("work.3")
    assert run.ask("abort", actor="MT", text="smells of toluene")["accepted"]
    assert run.wait() == "safe"
    assert rig.coils() == 0
    assert rig.heater_output() == 0.0
    with open_run(run.directory) as record:
        commands = [(c.actor, c.verb, c.accepted) for c in record.commands]
        aborted = [e.message for e in record.events if e.code == "aborting"]
    assert commands[-1] == ("MT", "abort", True)
    assert aborted == ["aborted by MT: smells of toluene"]


def test_answers_that_do_not_fit_are_refused_with_the_reason_and_change_nothing(started):
    run = started()
    end = wall_s() + 30
    while not (questions := run.status()["questions"]) and wall_s() < end:
        pause_s(0.1)
    number = questions[0]["number"]
    wrong = run.ask("answer", question=number, text="perhaps", by=["YK"])
    assert "say `done`" in wrong["reason"]
    assert "99 is not open" in run.ask("answer", question=99, text="done", by=["YK"])["reason"]
    assert "there is no command" in run.ask("degas")["reason"]
    assert run.status()["questions"][0]["number"] == number
    where = run.directory / FILE_NAME
    words = json.loads(where.read_text())
    where.write_text(json.dumps({**words, "token": "guessed"}))
    assert run.ask("abort") == {
        "accepted": False,
        "reason": "the token is not that of this run",
    }
    where.write_text(json.dumps(words))
    assert run.ask("answer", question=number, text="no", by=["YK"])["accepted"]
    assert run.wait() == "safe"


BLOCKS = """
import signal, sys, time
if "labctl.hardware" in sys.orig_argv:
    signal.signal(signal.SIGUSR1, lambda *_: time.sleep(10))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP, signal.SIGUSR1])
def test_a_killed_stopped_or_blocked_run_loses_its_heat_within_five_seconds(rig, started, number):
    run = started("90 C", python=BLOCKS)
    run.until("work.3")
    end = wall_s() + 20
    while "enabled" not in [row["what"] for row in run.guard_log()] and wall_s() < end:
        pause_s(0.1)
    pause_s(2)
    os.kill(run.pid, number)
    struck_s = dt.datetime.fromisoformat(utc_now()).timestamp()
    rows = run.guard_over()
    cut = next(row for row in rows if row["what"] == "cut")
    assert cut["contactor_open"] is True
    assert cut["utc_s"] - struck_s <= 5.0
    assert all(row["sent"] for row in rows if row["what"] == "will")
    assert {"heater", "pump_1", "valves"} <= {r["device"] for r in rows if r["what"] == "will"}
    assert rig.coils() == 0
    assert rig.heater_output() == 0.0
    with open_run(run.directory) as record:
        assert record.meta.outcome in {None, ""}
    (run.directory / FILE_NAME).unlink()


def test_the_guards_death_ends_the_run_in_the_safe_state(rig, started):
    run = started("90 C")
    run.until("work.3")
    os.kill(run.guard_log()[0]["guard"], signal.SIGKILL)
    assert run.wait() == "safe"
    assert rig.heater_output() == 0.0
    with open_run(run.directory) as record:
        assert any("the guard is lost" in event.message for event in record.events)


def test_a_terminal_that_leaves_does_not_touch_the_run(rig, started):
    run = started("90 C")
    run.until("work.3")
    command = [sys.executable, "-m", "labctl", "watch", run.directory.name]
    watching = subprocess.Popen(
        [*command, "--runs", str(run.directory.parent)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    pause_s(1.5)
    watching.send_signal(signal.SIGINT)
    said, _ = watching.communicate(timeout=20)
    assert watching.returncode == 0
    assert "left the run alone: it goes on" in said
    assert run.status()["state"] == "running"
    os.kill(run.pid, signal.SIGHUP)
    os.kill(run.pid, signal.SIGINT)
    pause_s(0.5)
    assert run.status()["state"] == "running"
    os.kill(run.pid, signal.SIGTERM)
    assert run.wait() == "safe"
