"""`chem`: the calculators of the chemistry; formula, source and assumptions go along."""

from __future__ import annotations

import importlib
import json

from labctl.cli.answer import Calculator, as_json, as_text
from labctl.cli.help import COMMANDS
from labctl.cli.options import Options, add_format
from labctl.errors import ExitCode, UnknownNameError, UsageError

CALCULATORS: dict[str, tuple[str, str]] = {
    "layers": ("chem_dots", "epilayers from a dose of chalcogenide, or the dose for them"),
    "size": ("chem_dots", "size of dots from the first exciton, by a named curve"),
    "coverage": ("chem_dots", "ligands per nm² from the areas of a ¹H NMR spectrum"),
    "concentration": ("chem_dots", "concentration of dots from an absorbance at 413 nm"),
    "strain": ("chem_dots", "strain of a core under its shell, Raman shift, XRD angle"),
    "stock": ("chem_flask", "volume that holds an amount, and what comes with it"),
    "bubble-point": ("chem_flask", "where a mixture boils"),
    "drop": ("chem_flask", "how far a cold addition cools the flask"),
    "flash": ("chem_flask", "gas that an injected volatile liquid makes"),
    "expand": ("chem_flask", "volume of a liquid when hot, and how full the flask is"),
    "suck-back": ("chem_flask", "gas that a cooling headspace draws in"),
}
"""Calculator -> module in `labctl.cli`, and what it gives."""


def run(command: str, arguments: list[str]) -> int:
    """Calculate one thing and print it.

    Raises:
        UnknownNameError: no such calculator.
        UsageError: no calculator is named, or arguments that do not fit.
    """
    if not arguments:
        raise UsageError(f"name what to calculate: {', '.join(CALCULATORS)}")
    name = arguments[0]
    if name in {"--help", "-h"}:
        print(_listed(command))
        return ExitCode.COMPLETE
    if name not in CALCULATORS:
        raise UnknownNameError("calculator", name, CALCULATORS)
    module, gives = CALCULATORS[name]
    calculator: Calculator = importlib.import_module(f"labctl.cli.{module}").CALCULATORS[name]
    parser = Options(prog=f"labctl {command} {name}", description=gives, allow_abbrev=False)
    calculator.takes(parser)
    add_format(parser)
    asked = parser.read(arguments[1:])
    answer = calculator.answers(asked)
    if asked.format == "json":
        print(json.dumps(as_json(name, answer), ensure_ascii=False, allow_nan=False))
    else:
        print(as_text(answer))
    return ExitCode.COMPLETE


def _listed(command: str) -> str:
    rows = [f"  {name:<14} {gives}" for name, (_, gives) in CALCULATORS.items()]
    head = [f"usage: labctl {command} WHAT ...", "", COMMANDS[command][2], ""]
    tail = ["", f"`labctl {command} WHAT --help` tells what one takes."]
    return "\n".join([*head, *rows, *tail])
