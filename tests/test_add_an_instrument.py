"""The package of docs/how-to/add-an-instrument.md, built from the page, installed and used."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import serial

PAGE = Path(__file__).parents[1] / "docs/how-to/add-an-instrument.md"
FILE = re.compile(r"^`(acme/[\w./]+)`\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LABCTL = (sys.executable, "-m", "labctl")


class Bench:
    """Where the package is installed, and commands that see it there."""

    def __init__(self, folder):
        self.folder = folder
        self.environment = {**os.environ, "PYTHONPATH": str(folder / "site"), "PYTHONUTF8": "1"}

    def run(self, *command):
        return subprocess.run(  # noqa: S603 - our own words
            [str(word) for word in command],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )

    def start(self, *command):
        return subprocess.Popen(  # noqa: S603 - our own words
            command, cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, text=True
        )


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    folder = tmp_path_factory.mktemp("newcomer")
    for name, text in FILE.findall(PAGE.read_text(encoding="utf-8")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    made = Bench(folder)
    pip = (sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation")
    installed = made.run(*pip, "--no-index", "--target", folder / "site", folder / "acme")
    assert installed.returncode == 0, installed.stderr
    return made


def test_every_file_of_the_page_is_found():
    names = [name for name, _ in FILE.findall(PAGE.read_text(encoding="utf-8"))]
    assert names == [
        "acme/pyproject.toml",
        "acme/acme_labctl/__init__.py",
        "acme/acme_labctl/driver.py",
        "acme/acme_labctl/simulator.py",
        "acme/tests/test_acme_pg1.py",
        "acme/rig.yaml",
    ]


def test_the_tests_of_the_page_pass(bench):
    ran = bench.run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "acme/tests")
    assert ran.returncode == 0, ran.stdout[-3000:]
    assert "9 passed" in ran.stdout


@pytest.mark.parametrize("command", [("check", "--select", "E,F,UP,B"), ("format", "--check")])
def test_the_code_of_the_page_is_formatted_as_ours(bench, command):
    verb, *options = command
    ruff = (sys.executable, "-m", "ruff", verb, "--isolated", "--line-length", "100", *options)
    ran = bench.run(*ruff, "acme/acme_labctl", "acme/tests")
    assert ran.returncode == 0, ran.stdout


def test_labctl_lists_it_and_has_nothing_to_say_of_its_quality(bench):
    ran = bench.run(*LABCTL, "devices", "acme_pg1", "--format", "json")
    assert json.loads(ran.stdout) == [
        {
            "kind": "acme_pg1",
            "maker": "Acme",
            "model": "PG-1",
            "roles": ["flask_gauge", "line_gauge"],
            "quality": [],
        }
    ]


def test_labctl_serves_it_to_any_program(bench):
    process = bench.start(*LABCTL, "simulate", "--kind", "acme_pg1", "--tcp", "--format", "json")
    with process:
        (device,) = json.loads(process.stdout.readline())["devices"].values()
        with serial.serial_for_url(device["url"], timeout=5) as port:
            port.write(b"ID?\r\nP?\r\n")
            said = port.read_until(b"\n"), port.read_until(b"\n")
        process.send_signal(signal.SIGINT)
    assert process.returncode == 0
    assert device["settings"] is None or device["settings"] == "9600 8N1"
    assert said[0] == b"ACME,PG-1,0042,1.02\r\n"
    assert re.fullmatch(rb"(OK|OVER) \d\.\d{3}E[+-]\d\d\r\n", said[1])


def test_on_a_served_rig_the_doctor_finds_it_fit_and_a_capture_is_kept(bench):
    serving = (*LABCTL, "simulate", "acme/rig.yaml", "--pty", "--write-rig", "served.yaml")
    process = bench.start(*serving, "--format", "json")
    with process:
        assert json.loads(process.stdout.readline())["devices"]["gauge"]["kind"] == "acme_pg1"
        looked = bench.run(*LABCTL, "doctor", "served.yaml", "--format", "json")
        kept = bench.run(
            *LABCTL, "capture", "served.yaml", "--output", "seen", "--for", "1s", "--every", "0.2 s"
        )
        process.send_signal(signal.SIGINT)
    assert process.returncode == 0
    found = json.loads(looked.stdout)
    (gauge,) = found["devices"]
    assert gauge["identity"] == {
        "maker": "Acme", "model": "PG-1", "serial": "0042", "firmware": "1.02",
    }  # fmt: skip
    assert gauge["facts"] == {"unit": "mbar"}
    assert "acme_labctl in " in found["machine"]["instruments from"]
    assert looked.returncode == 0, found["remarks"]
    assert (kept.stderr, kept.returncode, kept.stdout.strip()) == ("", 0, "seen/gauge.jsonl")


def test_a_kind_that_two_packages_claim_is_refused(bench):
    (clash,) = (bench.folder / "site").glob("acme_labctl/__init__.py")
    text = clash.read_text(encoding="utf-8")
    clash.write_text(text.replace('"acme_pg1": Listing(\n', '"ika_rct": Listing(\n'))
    try:
        ran = bench.run(*LABCTL, "devices")
    finally:
        clash.write_text(text)
    assert ran.returncode == 2
    assert "ika_rct is claimed twice" in ran.stderr
