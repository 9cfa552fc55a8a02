"""What `labctl --help` prints: a table, so that asking for help loads nothing."""

from __future__ import annotations

Row = tuple[str, str, str]

COMMANDS: dict[str, Row] = {
    "check": ("checking", "RECIPE", "look for mistakes; touches nothing"),
    "plan": ("planning", "RECIPE", "timeline, what to prepare, and when a person is needed"),
    "dry-run": ("dry", "RECIPE", "the whole run on simulated instruments, in seconds"),
    "preflight": ("preflighting", "RIG", "leaks, gas, trap, probes, stirring, lamp: fit to run?"),
    "run": ("running", "RECIPE", "on real instruments, guarded, detached from this terminal"),
    "shutdown": ("shutting", "RIG", "after a run: lines flushed, HF apart, trap, what is left"),
    "resume": ("resuming", "RUN", "go on with a run that was cut off; looks and asks first"),
    "watch": ("watching", "RUN", "follow the live run and answer its questions"),
    "ctl": ("commanding", "VERB", "one command to the live run: freeze, park, resume, abort, …"),
    "show": ("history", "RUN", "how a run went: a run id, its beginning, or `last`"),
    "runs": ("history", "", "the runs so far"),
    "report": ("history", "RUN", "write the report of a run, one HTML file"),
    "replay": ("replaying", "RUN", "decide again, with other settings or another estimator"),
    "doctor": ("doctoring", "RIG", "is the rig fit today? asks every instrument, sets nothing"),
    "capture": ("capturing", "RIG", "read instruments for a while, keep what crosses their ports"),
    "devices": ("instruments", "", "the instruments that labctl can drive"),
    "chem": ("chem", "WHAT", "calculate: layers, sizes, stocks, boiling, cold drops, …"),
    "calibrate": ("calibrating", "RIG", "guide a calibration and write it into the rig file"),
    "manual": ("manual", "RIG", "work a rig by hand, interlocked, guarded, recorded"),
    "simulate": ("serving", "RIG", "serve simulated instruments on ptys and TCP"),
}
"""Command -> module in `labctl.cli`, what it takes, and what it does."""

_HEAD = """\
labctl checks, simulates and records the syntheses of air-free nanocrystals.

usage: labctl COMMAND ...
"""

_TAIL = """
labctl COMMAND --help tells the options of a command. To begin:

  labctl dry-run recipes/inp_zns_surface_initiated.yaml

Exit codes: 0 complete, 2 refused, 3 ended in the safe state, 4 complete with
deviations, 130 interrupted, 1 a fault in labctl. Runs go to ./runs, or where
$LABCTL_RUNS or --runs says."""


def text() -> str:
    """Return the help: what this is, the commands, and how to begin."""
    rows = [f"  {name + ' ' + takes:<16}  {does}" for name, (_, takes, does) in COMMANDS.items()]
    return "\n".join([_HEAD, *rows, _TAIL])


def version() -> str:
    """Return name and version."""
    from importlib.metadata import version as installed

    return f"labctl {installed('labctl')}"


def unknown(command: str) -> str:
    """Say that there is no such command, and offer the nearest one."""
    from labctl.errors import nearest

    hint = nearest(command, COMMANDS) or "; `labctl --help` lists them"
    return f"there is no command {command!r}{hint}"
