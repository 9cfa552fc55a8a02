"""The error tree, and the exit code each branch ends with.

LabctlError                    raised on purpose; each message is a sentence for its reader
├── RefusedError        (2)    refused before anything was touched
│   ├── UnitError              a quantity that cannot be read: bare, unknown unit, wrong dimension
│   ├── ExpressionError        a condition that cannot be parsed, or whose sides do not fit
│   ├── UnknownNameError       a name that is not in its table; carries the nearest known one
│   ├── FindingsError          a document with errors in it: file, line, column, rule id each
│   └── UsageError             arguments that do not fit together
├── DeviceError                an instrument did not do what it was asked
│   ├── NoReplyError           nothing, or half a frame, within the timeout
│   │   └── AbandonedError     a trip needed the line first
│   ├── GarbledError           bytes that are not in the instrument's grammar
│   ├── PortLostError          the port itself is gone
│   ├── RefusedByDeviceError   the instrument understood and said no
│   └── OutOfRangeError        more than the instrument or the rig allows; nothing was sent
├── StepFailedError     (3)    a step cannot reach its end: timeout, lost precondition, inhibit
├── TripError           (3)    an interlock tripped
├── AbortedError        (3)    the operator, or an unanswered question, ended the run
│   └── ParkError              it is to be parked; only where nobody can come that is its end
├── RecordError         (1)    the run's record cannot be written or read
└── DeadlockError       (1)    virtual time cannot advance: all wait and nothing is scheduled
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum


class ExitCode(IntEnum):
    """What the process ends with; other people's scripts rest on these numbers."""

    COMPLETE = 0
    INTERNAL = 1
    REFUSED = 2
    SAFE = 3
    DEVIATIONS = 4
    INTERRUPTED = 130


class Severity(StrEnum):
    """How much a finding weighs: an error stops the run before it starts."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing the checker has to say: rule id, place (line, column from 1) and sentence."""

    rule: str
    severity: Severity
    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return (
            f"{self.file}:{self.line}:{self.column}: {self.severity}: {self.message} [{self.rule}]"
        )


class LabctlError(Exception):
    """Everything labctl raises on purpose; `exit_code` is what the process ends with."""

    exit_code = ExitCode.INTERNAL


class RefusedError(LabctlError):
    """Refused before anything was touched."""

    exit_code = ExitCode.REFUSED


class UnitError(RefusedError):
    """A quantity that cannot be read; `rule` is the id of the check it breaks."""

    def __init__(self, message: str, rule: str = "units.value") -> None:
        super().__init__(message)
        self.rule = rule


class ExpressionError(RefusedError):
    """A condition that cannot be parsed or typed; `offset` counts characters from 0."""

    def __init__(self, message: str, offset: int = 0) -> None:
        super().__init__(message)
        self.offset = offset


class UnknownNameError(RefusedError):
    """A name that is not in its table; the message offers the nearest known one."""

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        self.name = name
        self.hint = nearest(name, known)
        super().__init__(f"{what} {name!r} is not known{self.hint}")


class FindingsError(RefusedError):
    """A document with errors in it."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(str(finding) for finding in findings))


class UsageError(RefusedError):
    """Arguments that do not fit together."""


class DeviceError(LabctlError):
    """An instrument did not do what it was asked: which one, the question, expected and got."""

    exit_code = ExitCode.SAFE

    def __init__(self, device: str, asked: str, expected: str, got: str) -> None:
        self.device, self.asked, self.expected, self.got = device, asked, expected, got
        super().__init__(f"{device}: asked {asked}; expected {expected}, got {got}")


class NoReplyError(DeviceError):
    """Nothing, or half a frame, came back within the timeout."""


class AbandonedError(NoReplyError):
    """The question was given up because a trip needed the line; the instrument is not to blame."""


class GarbledError(DeviceError):
    """Bytes came back that are not in the instrument's grammar."""


class PortLostError(DeviceError):
    """The port itself is gone: unplugged, closed by the peer, or never there."""


class RefusedByDeviceError(DeviceError):
    """The instrument understood the command and said no."""


class OutOfRangeError(DeviceError):
    """Asked for more than the instrument or the rig allows; nothing was sent."""


class StepFailedError(LabctlError):
    """A step cannot reach its end: a timeout, a lost precondition, a refused inhibit."""

    exit_code = ExitCode.SAFE


class TripError(LabctlError):
    """An interlock tripped; the run goes to its safe state."""

    exit_code = ExitCode.SAFE


class AbortedError(LabctlError):
    """The operator, or a question nobody answered, ended the run."""

    exit_code = ExitCode.SAFE


class ParkError(AbortedError):
    """The run is to be parked until a person comes; `unanswered` says that nobody did so far.

    A dry run, where nobody ever comes, ends with it.
    """

    def __init__(self, message: str, *, unanswered: bool = False) -> None:
        self.unanswered = unanswered
        super().__init__(message)


class RecordError(LabctlError):
    """The run's record cannot be written or read."""


class DeadlockError(LabctlError):
    """Virtual time cannot advance: every task waits and nothing is scheduled."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Offer the known name closest to `name` as a clause, or nothing.

    >>> nearest("degass", ["degas", "ramp"])
    "; did you mean 'degas'?"
    >>> nearest("Zn", ["S", "ZN"])
    "; did you mean 'ZN'?"
    >>> nearest("zzz", ["degas"])
    ''
    """
    folded = {word.casefold(): word for word in known}
    close = difflib.get_close_matches(name.casefold(), list(folded), n=1, cutoff=0.55)
    return f"; did you mean {folded[close[0]]!r}?" if close else ""
