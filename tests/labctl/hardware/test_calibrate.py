"""`labctl calibrate` on served simulators: typed answers in, a rig file with the result out."""

import subprocess

import pytest

from labctl.clock import today
from labctl.rig.load import load_rig
from tests.labctl.hardware.conftest import LABCTL

pytestmark = pytest.mark.timeout(120)
DUE = f"{today().year + 1}-12-30"


@pytest.fixture
def calibrated(rig, tmp_path):
    """Calibrate a device of a copy of the served rig with typed lines: (process, file)."""

    def run(device, *lines):
        file = tmp_path / "copy.yaml"
        file.write_text(rig.file.read_text())
        said = subprocess.run(
            [*LABCTL, "calibrate", str(file), device, "--operator", "MT"],
            input="".join(f"{line}\n" for line in lines),
            capture_output=True,
            text=True,
            check=False,
        )
        return said, file

    return run


def test_a_thermocouple_against_a_reference_keeps_what_it_reads_itself(rig, calibrated):
    said, file = calibrated("heater", "25", "22.0 C", "end", DUE, "yes")
    assert said.returncode == 0, said.stderr
    assert "unit" in said.stdout, "25 of what is asked again"
    calibration = load_rig(file).model.devices["heater"].calibration
    ((reads, true),) = calibration.reads_true
    # The served probe is as wrong as the rig file said before: +0.39 K at 22 \u00b0C.
    assert true == 22.0
    assert reads == pytest.approx(22.4, abs=0.6)
    assert (calibration.by, str(calibration.done), str(calibration.due)) == (
        "MT",
        str(today()),
        DUE,
    )
    assert "# by USB serial number, never ttyUSB0" in file.read_text()
    assert len(file.read_text().splitlines()) == len(rig.file.read_text().splitlines())


def test_a_syringe_by_weight_gives_what_it_delivers_and_its_spread(calibrated):
    shots = ("go", "0.0390 g", "go", "0.0394 g", "go", "0.0386 g", "end")
    said, file = calibrated("pump_2", "ODE", "50 uL", "3 s", *shots, DUE, "yes")
    assert said.returncode == 0, said.stderr
    found = load_rig(file).model.devices["pump_2"].calibration
    assert found.delivered == pytest.approx(0.0390 / 0.789 / 0.05, abs=1e-4)
    assert found.sd == pytest.approx(0.0004 / 0.789 / 0.05, abs=2e-4)
    assert found.with_ == "1-octadecene at 25 C by weight"
    assert said.stdout.count("pump_2 counted 0.05 mL") == 3, said.stdout


def test_nothing_is_written_unless_a_person_says_so(rig, calibrated):
    said, file = calibrated("uvvis", "1.98 mm", DUE, "no")
    assert said.returncode == 2
    assert file.read_text() == rig.file.read_text()
    said, file = calibrated("uvvis", "1.98 mm", DUE, "yes")
    assert load_rig(file).model.devices["uvvis"].probe.path == 1.98
    said, file = calibrated("gauges")
    assert (said.returncode, "by hand" in said.stderr) == (2, True)
    said, file = calibrated("heatr")
    assert "did you mean 'heater'" in said.stderr
