"""Between a command and the user: every error becomes a sentence and an exit code."""

from __future__ import annotations

import gc
import importlib
import itertools
import logging
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from labctl.cli.help import COMMANDS
from labctl.errors import ExitCode, FindingsError, LabctlError, RefusedError


def guarded(command: str, arguments: list[str]) -> int:
    """Run one command; no traceback ever reaches the user."""
    _log_in_sentences()
    try:
        module = _imported(f"labctl.cli.{COMMANDS[command][0]}")
        return hushed(lambda: module.run(command, arguments))
    except RefusedError as error:
        return _refused(error, as_json=_wants_json(arguments))
    except LabctlError as error:
        print(f"labctl: {error}", file=sys.stderr)
        return int(error.exit_code)
    except KeyboardInterrupt:
        print("labctl: interrupted", file=sys.stderr)
        return int(ExitCode.INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - the last line before the user
        return _faulted(command, error)


def _imported(name: str) -> ModuleType:
    """Import without collecting garbage: there is none yet, and looking costs a tenth of it."""
    gc.disable()
    try:
        return importlib.import_module(name)
    finally:
        gc.freeze()
        gc.enable()


def hushed(say: Callable[[], int | None]) -> int:
    """Print something; when whoever reads stdout has gone, nothing more is said and all is well."""
    try:
        code = say()
        sys.stdout.flush()
    except BrokenPipeError:
        # The interpreter must not try to flush into the pipe once more at its end.
        with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        return int(ExitCode.COMPLETE)
    return int(code or 0)


def _log_in_sentences() -> None:
    handler = logging.StreamHandler()
    handler.addFilter(_without_traceback)
    handler.setFormatter(logging.Formatter("labctl: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


def _without_traceback(record: logging.LogRecord) -> bool:
    if record.exc_info is not None:
        record.msg, record.args = f"{record.getMessage()}: {record.exc_info[1]!r}", ()
        record.exc_info = None
    return True


def _refused(error: RefusedError, *, as_json: bool) -> int:
    from labctl.cli import findings

    if as_json:
        import json

        from labctl.prepare import refusal

        print(json.dumps(refusal(error), ensure_ascii=False))
    elif isinstance(error, FindingsError):
        print(findings.listed(error.findings), file=sys.stderr)
    else:
        print(f"labctl: {error}", file=sys.stderr)
    return int(ExitCode.REFUSED)


def _faulted(command: str, error: Exception) -> int:
    with tempfile.NamedTemporaryFile(
        "w", prefix="labctl-fault-", suffix=".txt", delete=False, encoding="utf-8"
    ) as file:
        file.write(f"labctl {command}\n")
        traceback.print_exception(error, file=file)
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    print(f"labctl: a fault in labctl itself: {what}", file=sys.stderr)
    print(f"labctl: where it happened is in {Path(file.name)}; please report it", file=sys.stderr)
    return int(ExitCode.INTERNAL)


def _wants_json(arguments: list[str]) -> bool:
    after = dict(itertools.pairwise(arguments))
    return "--format=json" in arguments or after.get("--format") == "json"
