"""What a person writes of a fault: `NAME[(ARG=VALUE,…)]@TARGET[@ANCHOR][+DELAY][~DURATION]`.

    late_reply@gauge+20min              a late reply on port `gauge`, 20 min after the start
    probe_slip(contact=0.5)@heater@up   the probe of `heater` half out when step `up` begins
    leak_step@flask@degas+90s~5min      a leak for five minutes, 90 s into stage `degas`

TARGET is a device, a port, a vessel of the rig, or `flask` for the vessel in use; ANCHOR a stage or
a step id, the run's start without one. Whether a fault fits its target is for the twin to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from labctl.errors import UnitError, UnknownNameError, UsageError
from labctl.twin import FaultArgument, FaultListing, TwinFault
from labctl.units import parse

WORD = "word"
_SPEC = re.compile(
    r"(?P<name>[A-Za-z]\w*)(?:\((?P<arguments>[^()]*)\))?@(?P<target>[\w.-]+)"
    r"(?:@(?P<anchor>[\w.-]+))?(?:\+(?P<delay>[^~+@]+))?(?:~(?P<duration>[^~+@]+))?",
    re.ASCII,
)
GRAMMAR = "NAME[(ARG=VALUE,…)]@TARGET[@ANCHOR][+DELAY][~DURATION]"


def parse_fault(text: str, table: Mapping[str, FaultListing]) -> TwinFault:
    """Read one fault; `table` holds those that exist. Values are canonical, times in s.

    Raises:
        UsageError: not the grammar, a time that is none, an argument out of its range.
        UnknownNameError: no such fault or argument; carries the nearest one.
    """
    match = _SPEC.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"--fault {text!r} cannot be read; write {GRAMMAR}")
    name = match["name"]
    if name not in table:
        raise UnknownNameError("fault", name, table)
    duration = match["duration"]
    return TwinFault(
        name,
        match["target"],
        _arguments(text, match["arguments"] or "", table[name]),
        match["anchor"] or "",
        _seconds(text, match["delay"]) if match["delay"] else 0.0,
        None if duration is None else _seconds(text, duration),
        text.strip(),
    )


def placed(
    faults: Iterable[TwinFault], stages: Sequence[str], steps: Sequence[str], vessel: str
) -> tuple[TwinFault, ...]:
    """Check the anchors of faults against a recipe, and call the vessel in use `flask`.

    Raises:
        UnknownNameError: an anchor that is no stage and no step of the recipe.
    """
    found = []
    for fault in faults:
        if fault.anchor and fault.anchor not in {*stages, *steps}:
            raise UnknownNameError("stage or step", fault.anchor, (*stages, *steps))
        found.append(replace(fault, target="flask") if fault.target == vessel else fault)
    return tuple(found)


def _arguments(text: str, written: str, row: FaultListing) -> dict[str, float | str]:
    known = {argument.name: argument for argument in row.arguments}
    values = {name: argument.default for name, argument in known.items()}
    given: set[str] = set()
    for part in filter(None, (part.strip() for part in written.split(","))):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not value:
            raise UsageError(f"--fault {text!r}: {part!r} is no argument; write NAME=VALUE")
        if name not in known:
            raise UnknownNameError(f"argument of {row.name}", name, known)
        if name in given:
            raise UsageError(f"--fault {text!r}: {name} is given twice")
        given.add(name)
        values[name] = _value(text, value, known[name])
    missing = [name for name, value in values.items() if value == ""]
    if missing:
        raise UsageError(
            f"--fault {text!r}: {missing[0]} is missing; "
            f"write {row.name}({missing[0]}=…), {known[missing[0]].means}"
        )
    return values


def _value(text: str, written: str, argument: FaultArgument) -> float | str:
    if argument.dimension == WORD:
        return written
    try:
        dimension = argument.dimension
        value = parse(written, dimension).value if dimension else float(written)
    except (UnitError, ValueError) as error:
        raise UsageError(f"--fault {text!r}: {argument.name}: {error}") from None
    if not argument.low <= value <= argument.high:
        raise UsageError(
            f"--fault {text!r}: {argument.name} is {written}; "
            f"expected {argument.low:g} to {argument.high:g}"
        )
    return value


def _seconds(text: str, written: str) -> float:
    try:
        seconds = parse(written.strip(), "time").value
    except UnitError as error:
        raise UsageError(f"--fault {text!r}: {error}") from None
    if not 0.0 <= seconds < float("inf"):
        raise UsageError(f"--fault {text!r}: {written} lies before its anchor")
    return seconds
