"""Between a command and the user: every error becomes a sentence and an exit code."""

from __future__ import annotations

import importlib
import itertools
import os
import sys
import tempfile
import traceback
from pathlib import Path

from labctl.cli.help import COMMANDS
from labctl.errors import ExitCode, FindingsError, LabctlError, RefusedError


def guarded(command: str, arguments: list[str]) -> int:
    """Run one command; no traceback ever reaches the user."""
    try:
        module = importlib.import_module(f"labctl.cli.{COMMANDS[command][0]}")
        code = int(module.run(command, arguments))
        sys.stdout.flush()
    except RefusedError as error:
        return _refused(error, as_json=_wants_json(arguments))
    except LabctlError as error:
        print(f"labctl: {error}", file=sys.stderr)
        return int(error.exit_code)
    except KeyboardInterrupt:
        print("labctl: interrupted", file=sys.stderr)
        return int(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        # Whoever read has gone; the interpreter must not try to flush into the pipe again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(ExitCode.COMPLETE)
    except Exception as error:  # noqa: BLE001 - the last line before the user
        return _faulted(command, error)
    return code


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
