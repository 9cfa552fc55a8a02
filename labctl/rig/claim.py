"""One labctl per rig: an exclusive claim on every port of a rig file, held by a live process.

The kernel lets go of it however the process ends; nothing stale is left. Beside it each serial port
is opened exclusively.
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from labctl.errors import UsageError
from labctl.rig.model import LoadedRig


def runtime_dir() -> Path:
    """Return where claims lie: `$XDG_RUNTIME_DIR/labctl`, or one per user in the temporary dir."""
    given = os.environ.get("XDG_RUNTIME_DIR", "")
    root = Path(given) if given else Path(tempfile.gettempdir())
    return root / ("labctl" if given else f"labctl-{os.getuid()}")


class Claim:
    """The claim of one run on all ports of its rig; use it in a `with`.

    Raises:
        UsageError: another process holds a port; it is named with its run.
    """

    def __init__(self, rig: LoadedRig, run: str, directory: Path | None = None) -> None:
        self._held = ExitStack()
        where = runtime_dir() if directory is None else directory
        try:
            where.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name, entry in sorted(rig.model.ports.items()):
                end = entry.path or entry.tcp or entry.visa or entry.usb or name
                path = os.path.realpath(end) if end.startswith("/") else end
                self._take(where / f"{path.strip('/').replace('/', '_')}.lock", name, run)
        except OSError as error:
            self._held.close()
            raise UsageError(f"the rig cannot be claimed in {where}: {error}") from None
        except UsageError:
            self._held.close()
            raise

    def _take(self, file: Path, port: str, run: str) -> None:
        held = self._held.enter_context(file.open("a+", encoding="utf-8"))
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            message = f"port {port} of the rig is held by {_holder(held)}; nothing was touched"
            raise UsageError(message) from None
        held.truncate(0)
        held.write(json.dumps({"pid": os.getpid(), "run": run}))
        held.flush()

    def close(self) -> None:
        """Let go of the rig."""
        self._held.close()

    def __enter__(self) -> Self:
        """Use it as a context."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go of the rig."""
        self.close()


def _holder(file: TextIO) -> str:
    file.seek(0)
    try:
        words = json.loads(file.read())
    except ValueError:
        return "another labctl"
    return f"run {words.get('run')} (process {words.get('pid')})"
