"""Write the reference pages that follow from the code: `python docs/generate.py`.

A test compares what is committed with what this makes, so a page cannot fall behind its model.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import cast

from drivers.quality import RULES as RULES_OF_QUALITY
from labctl.check import NEVER_ACCEPTED, RULES
from labctl.engine.machine import FINAL, TABLE, State
from labctl.engine.sequences import COMPLETE, FREEZE, PARK, SUCK_BACK, WAYS
from labctl.faults import GRAMMAR
from labctl.recipe.blocks import VERB, Use
from labctl.recipe.model import STEPS
from labctl.recipe.steps.base import Step
from labctl.registry import catalog, quality
from labctl.schemas import Schema, definition, device_shapes, json_schema
from labctl.twin import FaultListing
from labctl.units import show
from simulators.faults import LISTINGS
from simulators.plant.kinetics import parameters

REFERENCE = Path(__file__).parent / "reference"
NOTE = "<!-- written by `python docs/generate.py`; edit the models, not this page -->"

RESUME = {
    "idempotent": "done again from its beginning",
    "continue": "taken up where it was, after conditions are read again",
    "ask": "a person says whether to repeat it",
    "never": "never repeated by itself; the operator decides",
}

EXAMPLES = {
    "charge": "charge: {reagent: NC, amount: 220 nmol, by: hand}",
    "stir": "stir: 600 rpm",
    "leak_test": "leak_test: {T_below: 40 C, pump_to: 100 mTorr, isolate: 5 min, "
    "rise_below: 20 mTorr/min}",
    "strip": "strip: {solvent: toluene, at: 40 C, down_to: 10 Torr, over: 20 min}",
    "degas": "degas: {at: 120 C, rate: 10 K/min, for: 30 min, below: 100 mTorr, timeout: 90 min}",
    "backfill": "backfill: {cycles: 3}",
    "reference": "reference: {of: absorbance, in: flask}",
    "baseline": "baseline: {of: [peak, pl], as: before_s, for: 3 min}",
    "prime": "prime: {reagents: [ZN, S], into: waste}",
    "inject": "inject: {id: zn1, reagent: ZN, amount: 1.5 mmol, over: 3 min, keep_above: 180 C}",
    "ramp": "ramp: {to: 200 C, rate: 10 K/min, within: 2 K, settle: 60 s}",
    "hold": "hold: {for: 20 min, since: flask.T >= 318 C}",
    "hf_treat": "hf_treat: {reagent: HF, amount: 0.40 mmol, at: 120 C, within: 3 K, over: 2.5 min, "
    "blanket: still N2 on bubbler, react: 60 s, open_vacuum: {down_to: 10 Torr, over: 5 min}, "
    "vacuum: {for: 30 min}}",
    "wait_until": "wait_until: {saturated: peak, delta: 0.5 nm, timeout: 90 min}",
    "quench": "quench: {to: 60 C, by: [jack, fan], at_least: 30 K/min, down_to: 200 C}",
    "aliquot": "aliquot: {volume: 50 uL, by: hand, label: stage2, into: 3 mL toluene}",
    "flush": "flush: {ZN: [toluene at 60 C], HF: [acetone into hf_waste, N2]}",
    "confirm": "confirm: {for: HF, who: two people, list: [gluconate gel in date, hood flow]}",
    "ask": "ask: {for: 1S of the aliquot, unit: nm, range: 440 nm .. 500 nm, anchors: peak}",
    "repeat": "repeat: {until: peak >= 580 nm, at_most: 12, steps: [hold: 5 min]}",
    "if": "if: {when: flask.T > 60 C, then: [hold: 5 min]}",
    "when": "when: {choice: hf, is: treated, steps: [hold: 5 min]}",
    "log": "log: {fields: {cold_1S: nm, hwhm: nm}, makes: entry in stock book}",
    "weigh": "weigh: {reagent: S, volume: 0.5 mL, over: 60 s, shots: 6}",
}

USE_EXAMPLE = "use: {id: gas, block: tight, with: {cycles: 3}}"

LOADING = {
    "file.unreadable": "the file is not there, or may not be read.",
    "file.too_large": "a file over 1 MB is no recipe, rig or sheet.",
    "file.not_text": "the file is not UTF-8 text.",
    "file.not_yaml": "the text is not YAML; the place is where reading stopped.",
    "file.empty": "there is nothing in the file.",
    "file.too_deep": "the file is nested deeper than any recipe could be.",
    "file.too_many_parts": "following the aliases gives more parts than allowed (an alias bomb).",
    "file.outside": "a recipe uses files in its own directory and below, no others.",
    "schema.key": "a key is a plain word, not a list or a mapping.",
    "schema.duplicate_key": "a key stands twice in one mapping; the first would be lost.",
    "schema.mapping": "keys and values are expected here.",
    "schema.missing_key": "a key that must be given is not there.",
    "schema.unknown_key": "nothing of that name may stand here; the nearest known key is named.",
    "schema.value": "the value is none of those allowed.",
    "schema.name": "a name begins with a letter and has letters, digits and `_` only.",
    "schema.date": "dates are written 2025-11-03, moments 2025-11-03 09:00.",
    "schema.hours": "attended hours are written Mon-Fri 08:00-19:00.",
    "schema.steps": "a stage is a list of steps.",
    "schema.step": "a step is one verb with its values.",
    "schema.one_block": "`use` names a block of its file or a file beside the recipe, one of them.",
    "schema.one_goal": "`wait_until` waits for exactly one thing.",
    "units.value": "no number stands where a quantity is expected.",
    "units.bare_number": "a number without its unit.",
    "units.unknown_unit": "a unit that is not in the table; the nearest one is named.",
    "units.negative": "a time, volume, amount, mass or concentration below zero.",
    "units.dimension": "a quantity of another dimension, such as a volume for a time.",
    "schema.sequence": "only a trip or a freeze says which way leads to the safe state.",
    "schema.samples": "in `K of N samples` K is 1 to N, and N at most 100.",
    "schema.yes_or_no": "that is answered with yes or no.",
    "schema.scan": "a scanning detector takes two points or more between `from` and `to`.",
    "schema.calibration": "the points of a thermometer rise, in what it reads and in what is true.",
    "schema.linearity": "a spectrometer's linearity stays within 30 % of 1, and more light "
    "gives more counts.",
    "units.range": "a range is `LOW .. HIGH`, the lower end first, a unit on each.",
    "expression.syntax": "a condition that cannot be parsed; the message says where.",
    "expression.reaches": "`reaches` is written `peak >= 470 nm`.",
    "names.unknown_verb": "a verb that is not in the language.",
    "names.unknown_reagent": "a reagent that the recipe does not list.",
    "names.unknown_substance": "`is:` names a substance or a solvent that is not in the table.",
    "names.unknown_choice": "a `$name`, a `by` or a name of the series that is neither chosen nor "
    "assumed, or, in a block, is none of its parameters.",
    "names.unknown_block": "`use` names a block or a file that is not there.",
    "names.unknown_argument": "`with` names a parameter that the block has not.",
    "names.unknown_step": "`since` names a step that does not come before.",
    "names.unknown_baseline": "`since` names a baseline that is not taken before.",
    "names.unknown_stage": "`park` names a stage that does not exist.",
    "names.duplicate_id": "two steps bear the same id.",
    "names.unknown_kind": "no driver serves an instrument of that kind.",
    "names.unknown_device": "a role or a signal points to a device that is not on the rig.",
    "names.unknown_port": "a device is on a port that the rig does not list.",
    "names.unknown_role": "a role that no recipe can ask for.",
    "names.unknown_signal": "an interlock reads a signal that nothing on the rig gives.",
    "names.unknown_output": "an interlock gates an output or a pump that is not on the rig.",
    "bounds.no_limit": "nothing waits, repeats or injects without a bound.",
    "bounds.nested_use": "a block uses itself, or blocks lie more than 8 deep.",
    "bounds.series": "a series has 1 to 100 members.",
    "bounds.too_long": "a time over 31 days is no bound.",
    "dose.one_measure": "a dose is an amount or a volume, exactly one of them.",
    "dose.one_reagent": "an injection is of one reagent, or of several `together`.",
    "dose.solid": "a solid without a solvent is weighed: an amount, not a volume.",
    "questions.default": "the default is one of the choices.",
    "questions.choice": "a choice is a word that is acted upon, or says which one it stands for.",
    "questions.default_proceeds": "a default never goes on: it parks or aborts.",
    "choices.default": "the default is not allowed by its own `one_of` or `range`.",
    "choices.argument": "an argument is missing, or not of its parameter's kind.",
    "choices.series": "a value of the series cannot be set, is not allowed, or stands twice.",
    "choices.no_row": "a table has no row for the value it goes by.",
    "batch.empty": "a field of the sheet was left empty; the message says what to enter.",
    "batch.missing": "no batch sheet lies beside the recipe and none was named.",
    "batch.hand_or_pump": "a load is added by hand or is in a pump, exactly one of them.",
    "batch.nothing_drawn": "a load in a pump says how much is drawn.",
    "batch.one_person": "the second person is another one.",
    "batch.not_loaded": "a reagent of the recipe is not on the sheet.",
    "batch.unknown_reagent": "the sheet loads what the recipe does not ask for.",
    "batch.unknown_pump": "the pump is no pump of the rig.",
    "batch.unknown_vessel": "the vessel is none of the rig's.",
    "batch.no_concentration": "the recipe takes the concentration from the sheet; it is not there.",
    "batch.concentration": "the substance cannot have that concentration, or has none.",
    "batch.unknown_rule": "`accept` names a rule that is none of the plan's.",
    "batch.never_accepted": "`accept` names a rule that can never be accepted.",
    "needs.vessel": "the vessel on the sheet is not of the size the recipe needs.",
    "needs.in_loop": "the rig has no such spectrometer, and its person takes no samples.",
    "needs.path": "the optical path is longer than the recipe's sample is transparent.",
    "needs.pumps": "the sheet loads fewer pumps than the recipe needs, and nobody injects.",
    "needs.role": "a step needs a role that the rig does not bind.",
}

WORDS = {
    State.IDLE: ("planned and checked; nothing was touched", "Idle", "Idle"),
    State.STARTING: ("ports are opened, instruments identified", "Idle", "Starting"),
    State.RUNNING: ("steps run, one after the other", "Running", "Execute"),
    State.HOLDING: ("on the way to a freeze, a pause or a park", "Pausing, Holding", "Holding"),
    State.HELD: ("frozen, paused or parked; the recipe's clock stands", "Paused, Held", "Held"),
    State.RESUMING: ("conditions are read again before going on", "Restarting", "Unholding"),
    State.WAITING: ("a person is asked; temperature and gas are kept", "Running", "Suspended"),
    State.STOPPING: ("the last step is done; the rig is put to rest", "Stopping", "Completing"),
    State.ABORTING: ("the safe-state sequence runs", "Aborting", "Aborting"),
    State.SAFE: ("heater off, pumps stopped, inert gas on", "Aborted", "Aborted"),
    State.COMPLETE: ("all steps are done", "Complete", "Complete"),
    State.FAULTED: ("labctl itself failed; the record says where", "Aborted", "Aborted"),
}


def pages() -> dict[str, str]:
    """Return the text of every generated page by its file name."""
    return {
        "recipe.md": _page(_recipe()),
        "rig.md": _page(_rig()),
        "batch.md": _page(_batch()),
        "checks.md": _page(_checks()),
        "states.md": _page(_states()),
        "reaction-parameters.md": _page(_reaction()),
        "instruments/index.md": _page(_instruments()),
        "faults.md": _page(_faults()),
    }


def _page(lines: Iterator[str]) -> str:
    return "\n".join([NOTE, "", *lines]).rstrip() + "\n"


def _recipe() -> Iterator[str]:
    schema = json_schema("recipe")
    yield "# Recipe, `labctl: recipe/1`\n"
    yield "How to write one: [write a recipe](../how-to/write-a-recipe.md). Editors take the JSON"
    yield "Schema that `labctl check --schema recipe` prints.\n"
    yield "A quantity is a number with its unit (`10 K/min`); `$name` stands for a value of"
    yield "`choose` or `assumed`. Every step may have an `id`; without one it is `STAGE.N`.\n"
    yield "## The file\n"
    yield from _fields(schema)
    yield from _inner(schema, [schema], "###", skip=set())
    yield "\n## Verbs\n"
    for verb, step in STEPS.items():
        yield from _verb(schema, verb, step)
    yield from _use(schema)


def _use(schema: Schema) -> Iterator[str]:
    own = definition(schema, Use.__name__)
    yield f"### {VERB}\n"
    yield f"{own['description']}\n"
    yield from _fields(own)
    yield f"```yaml\n- {USE_EXAMPLE}\n```\n"


def _verb(schema: Schema, verb: str, step: type[Step]) -> Iterator[str]:
    own = definition(schema, step.__name__)
    yield f"### {verb}\n"
    yield f"{own['description']}\n"
    yield from _fields(own, skip={"id"})
    if "additionalProperties" in own and own["additionalProperties"] is not False:
        yield "Its keys are the names of reagents.\n"
    if step.shorthand:
        yield f"- a bare value fills `{step.shorthand}`"
    if step.uses:
        yield f"- roles: {', '.join(f'`{role}`' for role in step.uses)}"
    yield f"- after a crash: {step.resume.value}, that is, {RESUME[step.resume.value]}\n"
    yield f"```yaml\n- {EXAMPLES[verb]}\n```\n"
    yield from _inner(schema, [own], "####", skip={"Step"})


def _rig() -> Iterator[str]:
    schema = json_schema("rig")
    shapes = device_shapes()
    yield "# Rig, `labctl: rig/1`\n"
    yield "How to write one: [describe a rig](../how-to/describe-a-rig.md).\n"
    yield "## The file\n"
    yield from _fields(schema)
    yield from _inner(schema, [schema], "###", skip={s.__name__ for s in shapes.values()})
    yield "\n## Devices\n"
    for shape in dict.fromkeys(shapes.values()):
        own = definition(schema, shape.__name__)
        kinds = [kind for kind in shapes if shapes[kind] is shape]
        yield f"### {shape.__name__.removesuffix('Entry').lower()}\n"
        yield f"{own['description']} Kinds: {', '.join(f'`{kind}`' for kind in kinds)}.\n"
        yield from _fields(own, skip={"kind"})
        yield from _inner(schema, [own], "####", skip=set())


def _batch() -> Iterator[str]:
    schema = json_schema("batch")
    yield "# Batch sheet, `labctl: batch/1`\n"
    yield "How to fill one in: [fill a batch sheet](../how-to/fill-a-batch-sheet.md).\n"
    yield "## The file\n"
    yield from _fields(schema)
    yield from _inner(schema, [schema], "###", skip=set())


def _checks() -> Iterator[str]:
    yield "# What is checked\n"
    yield "Every finding has a rule id, `FAMILY.NAME`, and a place. An error refuses the run before"
    yield "anything is touched (exit 2); a sheet's `accept` turns a finding on the plan into a note"
    yield "that names who accepted it.\n"
    yield "## On the plan\n"
    for rule, function in RULES.items():
        said = " ".join((function.__doc__ or "").split()).removeprefix(f"`{rule}`: ")
        never = " It can never be accepted." if rule in NEVER_ACCEPTED else ""
        yield f"- `{rule}`: {said}{never}"
    yield "\n## While loading and binding"
    family = ""
    for rule, sentence in LOADING.items():
        if rule.partition(".")[0] != family:
            family = rule.partition(".")[0]
            yield f"\n### {family}\n"
        yield f"- `{rule}`: {sentence}"


def _states() -> Iterator[str]:
    yield "# Run states\n"
    yield "One run is in one of these states; record, screen and MQTT use the same words.\n"
    yield "| state | means | ISA-88 | PackML |\n| --- | --- | --- | --- |"
    for state, (means, isa88, packml) in WORDS.items():
        last = " (final)" if state in FINAL else ""
        yield f"| `{state}`{last} | {means} | {isa88} | {packml} |"
    yield "\n## What leads where\n\n| trigger | from | to |\n| --- | --- | --- |"
    for row in TABLE:
        yield f"| `{row.trigger}` | `{row.source}` | `{row.target}` |"
    yield "\nWhat is not in the table is refused with a reason, and nothing changes. `fault` leads"
    yield "from every state that is not final to `faulted`; the picture leaves it out.\n"
    yield "```mermaid\nstateDiagram-v2\n    [*] --> idle"
    for row in TABLE:
        if row.trigger != "fault" and row.source is not row.target:
            yield f"    {row.source} --> {row.target}: {row.trigger}"
    yield from (f"    {state} --> [*]" for state in sorted(FINAL))
    yield "```"
    yield from _ways()


def _ways() -> Iterator[str]:
    yield "\n## The ways to stand and to end\n"
    yield "Each action is done when it was read back, and has a bound; one that fails is told, and"
    yield "the next begins. What the rig has not is left out. A reason that comes later adds what"
    yield "its own way has besides. An interlock names its way with `sequence`.\n"
    yield "| way | in this order |\n| --- | --- |"
    ways = {
        **{f"`{name}`": way for name, way in WAYS.items()},
        "complete": COMPLETE,
        "complete, over a warm flask": (*COMPLETE, *SUCK_BACK),
        "freeze": FREEZE,
        "park": (*FREEZE, *PARK),
    }
    for name, way in ways.items():
        told = "; ".join(f"{action.words} ({action.timeout_s:g} s)" for action in way)
        yield f"| {name} | {told} |"


def _reaction() -> Iterator[str]:
    yield "# Parameters of the simulated chemistry\n"
    yield "The model they belong to: [the reaction model](../explanations/reaction-model.md)."
    yield "`stated` is a number of the paper, `constrained` is chosen so that a statement of it"
    yield "holds, `assumed` is fixed by nothing in it. None is measured.\n"
    yield "| parameter | symbol | value | unit | rests on | |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for row in parameters():
        known = row.basis
        cells = (row.name, known.symbol, row.value, known.unit, known.rests, known.on)
        yield f"| {' | '.join(cells)} |"


def _faults() -> Iterator[str]:
    yield "# Faults\n"
    yield "What can be made to go wrong in a dry run, and on served simulators. How to:"
    yield "[rehearse a fault](../how-to/rehearse-a-fault.md). A fault is written\n"
    yield f"    {GRAMMAR}\n"
    yield "TARGET is a device, a port or a vessel of the rig (`flask` is the one in use); ANCHOR a"
    yield "stage or a step id, the run's start without one. Each fault is tried in a short day by"
    yield "`tests/labctl/engine/test_faults.py`, where plant truth judges what became of it.\n"
    for family in dict.fromkeys(row.family for row in LISTINGS.values()):
        yield f"## {family.capitalize()}\n"
        yield "| | fault | targets | arguments | what happens | noticed by | what labctl does |"
        yield "| --- | --- | --- | --- | --- | --- | --- |"
        for row in LISTINGS.values():
            if row.family == family:
                told = (row.targets, _arguments(row), row.does, row.noticed_by, _reaction_to(row))
                yield f"| {row.number} | `{row.name}` | {' | '.join(told)} |"
        yield ""
    yield "## Not noticed, or not made safe, yet\n"
    yield "What labctl does not do about a fault so far; this is the work of the unattended run."
    yield "Until then a person stays with a hot flask, and the hardware limiter is what counts.\n"
    for row in LISTINGS.values():
        if row.yet:
            yield f"- {row.number} `{row.name}`: {row.yet}."


def _arguments(row: FaultListing) -> str:
    told = []
    for one in row.arguments:
        default = one.default
        if isinstance(default, float):
            default = show(default, one.dimension) if one.dimension else f"{default:g}"
        told.append(f"`{one.name}`: {one.means}" + (f" ({default})" if default else ", required"))
    return "; ".join(told)


def _reaction_to(row: FaultListing) -> str:
    return f"{row.reaction}. **Not enough yet**, see below" if row.yet else row.reaction


def _instruments() -> Iterator[str]:
    kinds = catalog("drivers")
    yield "# Instruments\n"
    yield "What a rig file may name. `line` is how the port leaves the factory; on a `bus` several"
    yield "with addresses share a line. `labctl devices` prints this table, `labctl devices KIND` a"
    yield "row of the next. To add one: [add an instrument](../../how-to/add-an-instrument.md).\n"
    yield "| kind | instrument | plays | line | bus |\n| --- | --- | --- | --- | --- |"
    for kind, row in kinds.items():
        page, plays = f"[`{kind}`]({kind}.md)", ", ".join(row.roles)
        yield f"| {page} | {row.maker} {row.model} | {plays} | {row.line} | {row.bus} |"
    yield "\n## What is proven\n"
    yield "Yes, not yet (○), or not asked of it (·); a test holds the table to what is so.\n"
    yield f"| kind | {' | '.join(rule.replace('_', ' ') for rule in RULES_OF_QUALITY)} |"
    yield "| --- |" + " --- |" * len(RULES_OF_QUALITY)
    for kind in kinds:
        marks = (_MARKS[proof.state] for proof in quality(kind).values())
        yield f"| `{kind}` | {' | '.join(marks)} |"
    yield "\n| rule | asks whether |\n| --- | --- |"
    yield from (f"| {rule.replace('_', ' ')} | {asks} |" for rule, asks in RULES_OF_QUALITY.items())
    yield "\n## What is open or not asked, and why\n"
    for why, where in _reasons(kinds).items():
        yield f"- {why}: {'; '.join(where)}"


def _reasons(kinds: Iterable[str]) -> dict[str, list[str]]:
    """Gather for each reason the rules and kinds that it holds for."""
    found: dict[str, dict[str, list[str]]] = {}
    for kind in kinds:
        for rule, proof in quality(kind).items():
            if proof.state != "done":
                of = (
                    f"{rule.replace('_', ' ')} ({'open' if proof.state == 'todo' else 'not asked'})"
                )
                found.setdefault(proof.why, {}).setdefault(of, []).append(f"`{kind}`")
    return {
        why: [f"{of} of {', '.join(names)}" for of, names in rules.items()]
        for why, rules in found.items()
    }


_MARKS = {"done": "yes", "todo": "○", "exempt": "·"}


def _fields(schema: Schema, skip: set[str] | None = None) -> Iterator[str]:
    """Yield the table of a mapping's keys."""
    properties = schema.get("properties")
    if not isinstance(properties, Mapping) or not set(properties) - (skip or set()):
        return
    required = schema.get("required", [])
    yield "| key | value | if left out |\n| --- | --- | --- |"
    for name, part in properties.items():
        if name not in (skip or set()):
            left_out = f"`{part['default']}`" if "default" in part else ""
            left_out = "required" if name in str(required).replace("'", " ").split() else left_out
            yield f"| `{name}` | {_words(part)} | {left_out} |"
    yield ""


def _inner(schema: Schema, within: list[Schema], level: str, skip: set[str]) -> Iterator[str]:
    """Yield the mappings inside a mapping, each once, in the order they are met."""
    seen = {*skip, "Step"}
    waiting = [name for part in within for name in _referred(part)]
    while waiting:
        name = waiting.pop(0)
        if name in seen:
            continue
        seen.add(name)
        own = definition(schema, name)
        yield f"{level} {_plain(name)}\n"
        yield f"{own.get('description', '')}\n"
        yield from _fields(own)
        waiting += _referred(own)


def _referred(part: Schema) -> list[str]:
    return re.findall(r"#/\$defs/(\w+)", str(part.get("properties", "")))


def _words(part: Schema) -> str:
    """Say in words what may stand somewhere."""
    for key, say in _SAYINGS.items():
        if key in part:
            return say(part[key])
    return _PLAIN.get(str(part.get("type")), "text")


def _reference(name: object) -> str:
    last = str(name).rpartition("/")[2]
    return "a step" if last == "Step" else f"a mapping, see {_plain(last)}"


def _choice(values: object) -> str:
    return " or ".join(f"`{value}`" for value in cast("list[object]", values))


def _either(parts: object) -> str:
    told = [part for part in cast("list[Schema]", parts) if part != {"type": "number"}]
    return " or ".join(map(_words, told))


def _pair(parts: object) -> str:
    return f"[{', '.join(map(_words, cast('list[Schema]', parts)))}]"


def _listed(part: object) -> str:
    return f"a list: {_words(cast('Schema', part))}"


def _mapped(part: object) -> str:
    return f"names, each with {_words(cast('Schema', part))}"


def _plain(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).lower()


_SAYINGS: Mapping[str, Callable[[object], str]] = {
    "$ref": _reference,
    "const": "`{}`".format,
    "enum": _choice,
    "anyOf": _either,
    "prefixItems": _pair,
    "items": _listed,
    "description": str,
    "additionalProperties": _mapped,
}
_PLAIN = {
    "['integer', 'string']": "a whole number",
    "['number', 'string']": "a number",
    "object": "a mapping",
}


if __name__ == "__main__":
    for name, text in pages().items():
        (REFERENCE / name).write_text(text, encoding="utf-8")
