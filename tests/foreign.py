"""Environments of strangers' programs: each with its pins, made once, apart from ours.

What a foreign client or simulator needs may contradict what labctl needs; so it runs in a process
of its own, on the Python of its own environment.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

# Light clients that get along with each other, and the heavier ones: two environments for all.
CLIENTS = (
    "alicat==0.9.0",
    "bronkhorst-propar==1.3.0",
    "matterlab_hotplates==1.2.1",
    "pfeiffer-vacuum-protocol==1.0",
    "pymeasure==0.16.0",
    "pywatlow==0.1.4",
)
HEAVY_CLIENTS = ("flowchem==1.1.6", "hvl_ccb==0.19.6", "microscope==0.7.0")

PUMP_CLIENTS = (
    "labmcp-cavro==0.1.3",
    "labmcp-new-era==0.1.2",
    "NESP-Lib==2.0.0",
    "python-syringe-pump==0.2.1",
)

HOME = Path(os.environ.get("LABCTL_FOREIGN", Path.home() / ".cache" / "labctl-foreign"))


@functools.cache
def python_with(*requirements: str) -> str:
    """Return the interpreter of an environment that holds just these; skip where none can be had.

    In CI a skip is a failure.
    """
    key = hashlib.sha256("\n".join((sys.version, *requirements)).encode()).hexdigest()[:16]
    home = HOME / key
    python = home / "bin" / "python"
    HOME.mkdir(parents=True, exist_ok=True)
    with (HOME / f"{key}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "made").exists():
            venv.create(home, clear=True, with_pip=True)
            install = [str(python), "-m", "pip", "install", "-q", *requirements]
            made = _run(install, 300)
            if made.returncode:
                pytest.skip(f"{', '.join(requirements)} cannot be installed: {made.stderr[-300:]}")
            (home / "made").touch()
    return str(python)


def run_foreign(python: str, script: str, *arguments: str, timeout_s: float = 60) -> str:
    """Run a script of a stranger's client and return what it printed; its failure is ours."""
    command = [python, "-c", script, *arguments]
    ran = _run(command, timeout_s)
    assert ran.returncode == 0, ran.stderr[-3000:]
    return ran.stdout


def _run(command: list[str], timeout_s: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own words
        command, capture_output=True, text=True, timeout=timeout_s, check=False
    )
