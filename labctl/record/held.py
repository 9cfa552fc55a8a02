"""Whether somebody writes a record: a lock on its directory, dropped with the process."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from labctl.errors import RecordError


def hold(directory: Path) -> int:
    """Take a run's directory for this process; return the descriptor that holds it.

    Raises:
        RecordError: another process writes its record.
    """
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise RecordError(f"{directory} is being written by another process") from None
    return descriptor


def is_held(directory: Path) -> bool:
    """Say whether a living process writes the record of a run."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
