"""Starts the process that conducts a run, detached from the terminal that asked for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

from labctl.clock import pause_s, wall_s
from labctl.control.server import FILE_NAME
from labctl.errors import LabctlError

GUARD_LOG: Final = "guard.jsonl"
LOG: Final = "conduct.log"
BEGIN_S: Final = 30.0


class NotBegunError(LabctlError):
    """The process that should conduct a run ended before the run began."""


def await_guard(directory: Path) -> None:
    """Return when the guard of a run that was cut off has made the rig safe and gone.

    Raises:
        NotBegunError: it still has the ports.
    """
    log = directory / GUARD_LOG
    end_s = wall_s() + BEGIN_S
    while log.exists() and not _is_over(log):
        if wall_s() > end_s:
            raise NotBegunError(f"the run's guard has not come to its end; see {log}")
        pause_s(0.2)


def _is_over(log: Path) -> bool:
    rows = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return not rows or any(f'"{word}"' in rows[-1] for word in ("over", "done"))


def launch(directory: Path) -> int:
    """Start the process and return its number once it can be reached.

    It has a session of its own: a closed terminal, Ctrl-C or a lost connection do not reach it.

    Raises:
        NotBegunError: it ended at once, or cannot be reached.
    """
    log = directory / LOG
    with log.open("ab") as words:
        process = subprocess.Popen(  # noqa: S603 - our own words
            [sys.executable, "-m", "labctl.hardware", str(directory)],
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=words,
            start_new_session=True,
        )
    end_s = wall_s() + BEGIN_S
    while not (directory / FILE_NAME).exists():
        if process.poll() is not None or wall_s() > end_s:
            said = log.read_text(encoding="utf-8", errors="replace").strip()[-2000:]
            raise NotBegunError(f"the run did not begin; its process said: {said or 'nothing'}")
        pause_s(0.05)
    return process.pid
