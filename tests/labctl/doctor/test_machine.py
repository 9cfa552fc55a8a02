"""The machine under a rig: sleep, room, sockets, processes, whose instruments are loaded."""

import asyncio
import os
import socket
import subprocess
import sys
from types import SimpleNamespace

import pytest

from labctl.doctor import Level
from labctl.doctor.machine import SLEEPS, machine
from labctl.doctor.ports import also
from labctl.doctor.processes import command_of, listening, users_of

GB = 1_000_000_000


@pytest.fixture
def root(tmp_path):
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    (tmp_path / "etc/systemd/system").mkdir(parents=True)
    return tmp_path


@pytest.fixture
def free(monkeypatch):
    def set_to(amount):
        usage = SimpleNamespace(free=amount)
        monkeypatch.setattr("labctl.doctor.machine.shutil.disk_usage", lambda folder: usage)

    set_to(100 * GB)
    return set_to


def mask(root, names):
    for name in names:
        (root / f"etc/systemd/system/{name}.target").symlink_to("/dev/null")


def test_a_machine_whose_sleep_is_masked_is_fit_without_a_word(root, free, tmp_path):
    mask(root, SLEEPS)
    said, remarks = machine(tmp_path, root)
    assert remarks == ()
    assert said["sleep"] == "cannot happen, its targets are masked"
    assert said["room for runs"] == f"100000 MB in {tmp_path}"


def test_a_machine_that_may_fall_asleep_is_noted_with_what_to_type(root, free, tmp_path):
    mask(root, SLEEPS[1:])
    (row,) = machine(tmp_path, root)[1]
    assert row.level is Level.NOTE
    assert "(sleep)" in row.says
    assert row.do.startswith("sudo systemctl mask sleep.target suspend.target")


def test_where_sleep_cannot_be_read_that_is_said(free, tmp_path):
    (row,) = machine(tmp_path, tmp_path)[1]
    assert "cannot be read" in row.says


@pytest.mark.parametrize(
    ("amount", "levels"), [(GB // 10, [Level.UNFIT]), (GB, [Level.NOTE]), (3 * GB, [])]
)
def test_little_room_is_noted_and_none_is_unfit(root, free, tmp_path, amount, levels):
    mask(root, SLEEPS)
    free(amount)
    remarks = machine(tmp_path / "not/yet/there", root)[1]
    assert [row.level for row in remarks] == levels


def test_an_adapter_that_may_be_suspended_is_noted(root, free, tmp_path):
    mask(root, SLEEPS)
    for name, control, tty in (("1-1", "auto", "ttyUSB0"), ("1-2", "on", "ttyUSB1")):
        device = root / "sys/bus/usb/devices" / name
        (device / f"{name}:1.0" / tty).mkdir(parents=True)
        (device / "power").mkdir()
        (device / "power/control").write_text(f"{control}\n")
    mouse = root / "sys/bus/usb/devices/1-3/power"
    mouse.mkdir(parents=True)
    (mouse / "control").write_text("auto\n")
    (row,) = machine(tmp_path, root)[1]
    assert "at USB 1-1 may be suspended" in row.says
    assert row.do.startswith("echo on | sudo tee ")


def test_names_that_do_not_change_are_offered(tmp_path):
    tty, by_id = tmp_path / "ttyUSB3", tmp_path / "by-id"
    tty.touch()
    by_id.mkdir()
    (by_id / "usb-FTDI_A10K77QX-if00").symlink_to("../ttyUSB3")
    (by_id / "usb-FTDI_other-if00").symlink_to("../ttyUSB4")
    assert list(also(tty, by_id)) == [str(by_id / "usb-FTDI_A10K77QX-if00")]
    assert list(also(tty, tmp_path / "nowhere")) == []


async def test_who_listens_is_found_with_address_port_and_pid():
    script = (
        "import socket; s = socket.create_server(('127.0.0.1', 0)); "
        "print(s.getsockname()[1], flush=True); input()"
    )
    word = f"a-word-{os.getpid()}"
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, word,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        port = int(await other.stdout.readline())
        (row,) = listening(word)
    finally:
        await other.communicate(b"\n")
    assert (row.pid, row.address, row.port) == (other.pid, "127.0.0.1", port)
    assert row.is_local
    assert listening(word) == ()


def test_a_socket_open_to_the_network_is_noted(root, free, tmp_path, monkeypatch):
    mask(root, SLEEPS)
    with socket.create_server(("0.0.0.0", 0)) as server:  # noqa: S104 - that is the fault
        port = server.getsockname()[1]
        mine = listening(command_of(os.getpid())[:20])
        monkeypatch.setattr(
            "labctl.doctor.machine.listening", lambda: [row for row in mine if row.port == port]
        )
        (row,) = machine(tmp_path, root)[1]
    assert f"listens on 0.0.0.0:{port}" in row.says
    assert row.level is Level.NOTE


def test_without_proc_nothing_is_known_and_nothing_fails(tmp_path):
    assert users_of(tmp_path / "tty", tmp_path / "proc") == ()
    assert listening("labctl", tmp_path / "proc") == ()
    assert command_of(1, tmp_path) == ""


def test_instruments_hidden_by_a_folder_of_the_same_name_are_found_out(tmp_path):
    (tmp_path / "drivers").mkdir()
    (tmp_path / "drivers/__init__.py").write_text("CATALOG = {}\n")
    (tmp_path / "rig.yaml").write_text("labctl: rig/1\n")
    ran = subprocess.run(
        [sys.executable, "-m", "labctl", "doctor", "rig.yaml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 3, ran.stderr
    assert f"instruments of `drivers` are loaded from {tmp_path / 'drivers'}" in " ".join(
        ran.stdout.split()
    )
