import json
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
import serial


@pytest.fixture
def served(start):
    """Serve, hand over the JSON line, and end it as asked; the exit code must be 0."""
    running = []

    def serve(*arguments):
        process = start("simulate", *arguments, "--format", "json")
        running.append(process)
        return json.loads(process.stdout.readline())["devices"]

    yield serve
    for process, number in zip(running, (signal.SIGINT, signal.SIGTERM), strict=False):
        process.send_signal(number)
        with process:
            out, err = process.communicate(timeout=30)
        assert (process.returncode, out, err) == (0, "", "")


def ask(where, question, end, **settings):
    with serial.serial_for_url(where, timeout=5, **settings) as port:
        port.write(question)
        return port.read_until(end)


def test_one_instrument_on_a_pty_without_a_rig(served):
    (device,) = served("--kind", "ika_rct").values()
    assert device["kind"] == "ika_rct"
    assert device["url"] is None
    assert device["settings"] == "9600 7E1"
    assert ask(device["pty"], b"IN_NAME\r\n", b"\n").strip()


def test_one_instrument_both_ways_is_one_instrument(served):
    (device,) = served("--kind", "newera_ne1000", "--pty", "--tcp").values()
    assert device["settings"] == "19200 8N1"
    # The first answer after power-up is the alarm that tells of it; asking clears it for both ways.
    assert ask(device["pty"], b"0VER\r", b"\x03") == b"\x0200A?R\x03"
    version = ask(device["pty"], b"0VER\r", b"\x03")
    assert b"NE1000" in version
    assert ask(device["url"], b"0VER\r", b"\x03") == version


def test_a_rig_is_served_port_by_port(served, recipe):
    devices = served(recipe.parents[1] / "rigs" / "schlenk.yaml")
    assert devices["heater"]["pty"] == devices["valves"]["pty"]
    assert devices["heater"]["pty"] != devices["stirrer"]["pty"]
    assert devices["gauges"]["pty"] is None
    assert devices["gauges"]["url"].startswith("socket://127.0.0.1:")
    assert devices["gauges"]["settings"] is None
    assert devices["pump_2"]["settings"] == "19200 8N1"
    answer = ask(devices["gauges"]["url"], b"PR1\r\n", b"\n")
    assert answer == b"\x06\r\n"


def talk(url, number):
    """Open, ask and close as careless clients do, some with rubbish before; return the answers."""
    rubbish = (b"", b"\xff\x00" * 200, b"IN_PV_", b"\r\n\r\n")[number % 4]
    heard = set()
    for _ in range(5):
        with serial.serial_for_url(url, timeout=5) as port:
            port.write(rubbish + b"\r\n")
            port.write(b"IN_NAME\r\n")
            heard.add(port.read_until(b"\n"))
    return heard


def test_ten_careless_clients_at_once_are_all_served(served):
    (device,) = served("--kind", "ika_rct", "--tcp").values()
    with ThreadPoolExecutor(10) as pool:
        said = list(pool.map(lambda number: talk(device["url"], number), range(10)))
    assert said == [{b"RCT digital \r\n"}] * 10


def test_an_interrupt_ends_it_cleanly_though_a_client_is_in_the_middle_of_a_question(start):
    process = start("simulate", "--kind", "ika_rct", "--tcp", "--format", "json")
    (device,) = json.loads(process.stdout.readline())["devices"].values()
    with process, serial.serial_for_url(device["url"], timeout=5) as left:
        left.write(b"IN_PV_")
        assert ask(device["url"], b"\r\nIN_NAME\r\n", b"\n") == b"RCT digital \r\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "", "")
