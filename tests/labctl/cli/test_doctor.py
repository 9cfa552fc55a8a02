"""`labctl doctor` as a person types it, on a rig whose simulators are served."""

import json
import signal

import pytest

from tests.labctl.cli.conftest import ROOT

KEYS = {"rig", "fit", "devices", "ports", "machine", "remarks"}


@pytest.fixture(scope="module")
def served(start, tmp_path_factory):
    """The rig file of the served Schlenk rig."""

    moved = tmp_path_factory.mktemp("rig") / "moved.yaml"
    rig = ROOT / "rigs/schlenk.yaml"
    process = start("simulate", rig, "--pty", "--write-rig", moved, "--format", "json")
    assert json.loads(process.stdout.readline())["devices"]
    yield moved
    process.send_signal(signal.SIGINT)
    with process:
        assert process.wait(30) == 0


def test_a_fit_rig_is_told_device_by_device_and_ends_with_0(labctl, served, tmp_path):
    code, out, err = labctl("doctor", served, "--runs", tmp_path)
    assert (code, err) == (0, "")
    assert out.rstrip().endswith("schlenk-2: fit")
    rows = {line.split()[0]: line for line in out.splitlines() if line}
    for name in ("heater", "pump_3", "gauges", "pl", "laser", "guard"):
        assert name in rows
    assert "Eurotherm 3216, firmware 2.11" in out
    assert "setpoints 0 .. 346.7 °C" in out
    assert "9600 7E1" in out


def test_as_json_it_is_one_object_for_scripts(labctl, served, tmp_path):
    code, out, err = labctl("doctor", served, "--runs", tmp_path, "--format", "json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert set(found) == KEYS
    assert found["fit"] is True
    assert found["rig"] == "schlenk-2"
    (heater,) = [row for row in found["devices"] if row["name"] == "heater"]
    assert heater["answers"]
    assert heater["identity"]["maker"] == "Eurotherm"
    assert heater["latency"]["questions"] >= 10
    assert {row["name"] for row in found["ports"]} >= {"bus", "guard", "hdx"}
    assert all(row["opened"] for row in found["ports"])
    listens = found["machine"]["labctl listens"]
    assert listens


def test_an_unfit_rig_ends_with_3_and_says_what_to_do(labctl, served, tmp_path):
    text = served.read_text(encoding="utf-8")
    broken = tmp_path / "broken.yaml"
    stir = next(line for line in text.splitlines() if line.strip().startswith("stir:"))
    broken.write_text(text.replace(stir, '  stir: {path: "/dev/ttyUSB77", format: 7E1}'))
    code, out, err = labctl("doctor", broken, "--runs", tmp_path)
    assert (code, err) == (3, "")
    said = " ".join(out.split())
    assert "unfit: stir: there is no /dev/ttyUSB77: plug the adapter in, or correct `path`" in said
    assert out.rstrip().endswith("schlenk-2: not fit")


def test_without_a_rig_the_machine_alone_is_looked_at(labctl, tmp_path):
    code, out, _ = labctl("doctor", "--runs", tmp_path, "--format", "json")
    found = json.loads(out)
    assert code == (0 if found["fit"] else 3)
    assert (found["rig"], found["devices"], found["ports"]) == (None, [], [])
    assert found["machine"]["instruments from"].startswith("drivers in ")


def test_a_rig_file_with_mistakes_is_refused_before_anything_is_opened(labctl, tmp_path):
    (tmp_path / "rig.yaml").write_text("labctl: rig/1\nname: x\n")
    code, _, err = labctl("doctor", tmp_path / "rig.yaml")
    assert code == 2
    assert "needs the key" in err or "error" in err
