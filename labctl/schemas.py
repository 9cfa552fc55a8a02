"""JSON Schemas of recipe, rig and batch sheet for editors, assembled from the models.

Files are read by labctl as text and typed by its models; an editor types plain scalars itself. So a
count may be a number or its text, free text may look like a number, and a quantity is always text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.resources import files
from typing import Final, Literal, cast

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from labctl.recipe.blocks import VERB, BlockFile, Parameter, Use
from labctl.recipe.model import STEPS, Head
from labctl.registry import catalog
from labctl.rig.batch import Batch
from labctl.rig.devices import SHAPES, Entry, PersonEntry
from labctl.rig.model import Rig
from labctl.source import compose
from labctl.units import UNITS, dimension_of, show, spelling

Kind = Literal["recipe", "rig", "batch", "block"]
Schema = dict[str, object]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
NUMBER: Final = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
NAMED: Final = r"\$[A-Za-z_][A-Za-z0-9_]*"
PERSON: Final = "operator"
_REF: Final = "#/$defs/"
_REWRITTEN: Final = frozenset({"title", "default", "properties"})
_SCALAR: Final[list[str]] = ["string", "number", "boolean"]
_DATES: Final = {
    "date": ("a date, e.g. 2025-11-03", r"^\d{4}-\d{2}-\d{2}$"),
    "date-time": ("2025-11-03 or 2025-11-03 09:00", r"^\d{4}-\d{2}-\d{2}( \d{2}:\d{2}(:\d{2})?)?$"),
}


def json_schema(kind: Kind) -> Schema:
    """Return the JSON Schema (draft 2020-12) of a recipe, a block, a rig or a batch sheet."""
    made = {"recipe": _recipe, "block": _block_file, "rig": _rig, "batch": _batch}
    return _told(_pruned(made[kind]()), kind)


def definition(schema: Mapping[str, object], name: str) -> Schema:
    """Return one of a schema's definitions.

    Raises:
        KeyError: the schema has no such definition.
    """
    return _part(schema, "$defs")[name]


def device_shapes() -> dict[str, type[Entry]]:
    """Map every kind of device a rig may name, the person among them, to its model."""
    shapes = {kind: SHAPES[row.roles[0]] for kind, row in sorted(catalog("drivers").items())}
    return {**shapes, PERSON: PersonEntry}


def _told(schema: Schema, kind: Kind) -> Schema:
    """Give every key its description: what it means, then how its value is written."""
    text = files("labctl").joinpath("assets", "schema/keys.yaml").read_text(encoding="utf-8")
    meanings = cast("dict[str, dict[str, str]]", compose(text).tree)
    definitions = _part(schema, "$defs")
    for mapping, part in [(kind, schema), *definitions.items()]:
        known = {**meanings["any"], **(meanings.get(mapping) or {})}
        for key, value in _part(part, "properties").items() if "properties" in part else ():
            meant = known.get(key) or _of_reference(value, definitions)
            written = str(value.get("description", ""))
            if meant and not written.startswith(meant):
                value["description"] = "; ".join(filter(None, [meant, written]))
    return schema


def _of_reference(value: Schema, definitions: Mapping[str, Schema]) -> str:
    """Return the first line of what a mapping that stands here says of itself."""
    found = _references(value)
    said = str(definitions[found[0]].get("description", "")) if found else ""
    return said.partition("\n")[0]


def _recipe() -> Schema:
    schema = _with_steps(Head)
    steps = _steps()
    values: Schema = {"type": "array", "items": {"type": _SCALAR}, "minItems": 1}
    block = _row({"steps": steps})
    _part(block, "properties")["parameters"] = _map_of({"$ref": _REF + Parameter.__name__})
    _part(schema, "$defs")["Block"] = {
        "description": "steps written once, for `use`",
        **block,
    }
    added = {
        "choose": _map_of(_choices()),
        "series": _map_of(values),
        "blocks": _map_of({"$ref": _REF + "Block"}),
        "stages": _map_of(steps),
        "finally": dict(steps),
    }
    _part(schema, "properties").update(added)
    cast("list[str]", schema["required"]).append("stages")
    return schema


def _block_file() -> Schema:
    schema = _with_steps(BlockFile)
    parameters = _map_of({"$ref": _REF + Parameter.__name__})
    _part(schema, "properties").update({"parameters": parameters, "steps": _steps()})
    cast("list[str]", schema["required"]).append("steps")
    return schema


def _with_steps(root: type[BaseModel]) -> Schema:
    """Build the schema of a model beside which steps are written."""
    inside = [*(step.__name__ for step in STEPS.values()), Use.__name__]
    schema = _assembled(root, [*STEPS.values(), Use, Parameter], named=inside)
    definitions = _part(schema, "$defs")
    definitions["Flush"] = _lines_by_reagent(definition(schema, "Flush"))
    verbs = {verb: _verb(schema, verb) for verb in STEPS}
    definitions["Step"] = {
        "description": "a step: one verb with its values, `- verb: {key: value}`",
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
        "properties": {**verbs, VERB: {"$ref": _REF + Use.__name__}},
    }
    return schema


def _steps() -> Schema:
    return {"type": "array", "items": {"$ref": _REF + "Step"}}


def _rig() -> Schema:
    shapes = device_shapes()
    schema = _assembled(Rig, dict.fromkeys(shapes.values()))
    alternatives = []
    for shape in dict.fromkeys(shapes.values()):
        kinds = [kind for kind in shapes if shapes[kind] is shape]
        _part(definition(schema, shape.__name__), "properties")["kind"] = {"enum": kinds}
        is_one = {"properties": {"kind": {"enum": kinds}}}
        alternatives.append({"if": is_one, "then": {"$ref": _REF + shape.__name__}})
    device = {
        "type": "object",
        "required": ["kind"],
        "properties": {"kind": {"enum": list(shapes)}},
        "allOf": alternatives,
    }
    _part(schema, "properties")["devices"] = _map_of(device)
    return schema


def _batch() -> Schema:
    return _assembled(Batch, ())


def _assembled(
    root: type[BaseModel], others: Iterable[type[BaseModel]], named: Sequence[str] = ()
) -> Schema:
    """Build one schema of a root model and the models it refers to by other means.

    `named` are definitions in which `$name` may stand for a value.
    """
    _, joint = models_json_schema(
        [(model, "validation") for model in (root, *others)], ref_template=_REF + "{model}"
    )
    found = cast("dict[str, Schema]", joint["$defs"])
    inside = _reachable(found, named)
    definitions = {
        name: cast("Schema", _tidy(part, named=name in inside)) for name, part in found.items()
    }
    top = definitions.pop(root.__name__)
    return {"$schema": DIALECT, **top, "$defs": definitions}


def _pruned(schema: Schema) -> Schema:
    """Drop the definitions that nothing refers to: the inside of what is written as text."""
    definitions = _part(schema, "$defs")
    rest = {key: part for key, part in schema.items() if key != "$defs"}
    used = _reachable(definitions, _references(rest))
    return {**rest, "$defs": {name: definitions[name] for name in sorted(used)}}


def _reachable(definitions: Mapping[str, object], names: Sequence[str]) -> set[str]:
    """Return the names of definitions and of all they refer to."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _references(definitions[name])
    return found


def _references(node: object) -> list[str]:
    return re.findall(re.escape(_REF) + r"(\w+)", str(node))


def _verb(schema: Schema, verb: str) -> Schema:
    step = STEPS[verb]
    reference: Schema = {"$ref": _REF + step.__name__}
    if not step.shorthand:
        return reference
    bare = _part(_part(definition(schema, step.__name__), "properties"), step.shorthand)
    return {"anyOf": [bare, reference]}


def _lines_by_reagent(written: Schema) -> Schema:
    """Say `flush` as it is written: reagents are its keys."""
    lines = _part(_part(written, "properties"), "lines")
    rest = {key: part for key, part in _part(written, "properties").items() if key != "lines"}
    kept = {key: written[key] for key in ("description", "type")}
    return {**kept, "properties": rest, "additionalProperties": lines["additionalProperties"]}


def _choices() -> Schema:
    value: Schema = {"description": "a value with its unit, e.g. 10 min", "type": _SCALAR}
    by: Schema = {"description": "the choice this one follows, e.g. layers", "type": "string"}
    one_of = _row({"default": value, "one_of": {"type": "array", "items": value}})
    span = _row({"default": value, "range": {"type": "string", "pattern": r"\.\."}})
    table: Schema = {**_row({"by": by}), "additionalProperties": value}
    return {"anyOf": [one_of, span, table]}


def _row(properties: Mapping[str, Schema]) -> Schema:
    return {
        "type": "object",
        "required": list(properties),
        "properties": properties,
        "additionalProperties": False,
    }


def _map_of(value: Mapping[str, object]) -> Schema:
    return {"type": "object", "additionalProperties": value}


def _tidy(node: object, *, named: bool) -> object:
    """Turn what pydantic says of a value into what an author may write."""
    if isinstance(node, list):
        return [_tidy(part, named=named) for part in node]
    if not isinstance(node, dict):
        return node
    written = _without_null(node)
    dimension = _dimension(written)
    told = {k: _tidy(v, named=named) for k, v in written.items() if k not in _REWRITTEN}
    told |= _default(written, dimension)
    if "properties" in written:
        fields = _part(written, "properties")
        told["properties"] = {name: _tidy(part, named=named) for name, part in fields.items()}
    if dimension:
        return told | {"pattern": _quantity(dimension, str(_example(written)), named=named)}
    rewrite = _WRITTEN.get(str(written.get("type", "")))
    return rewrite(told, named) if rewrite else told


def _without_null(node: Schema) -> Schema:
    """Drop the null of an optional field: an author leaves the key out instead."""
    options = node.get("anyOf")
    if not isinstance(options, list):
        return node
    kept = [option for option in options if option != {"type": "null"}]
    rest = {key: part for key, part in node.items() if key != "anyOf"}
    return {**kept[0], **rest} if len(kept) == 1 else {**rest, "anyOf": kept}


def _default(node: Schema, dimension: str) -> Schema:
    """Give the default as an author would write it; what is empty or a structure has none."""
    value = node.get("default")
    if isinstance(value, float) and dimension:
        return {"default": show(value, dimension)}
    if isinstance(value, float) and node.get("type") != "number":
        return {}
    return {"default": value} if isinstance(value, bool | int | float | str) and value != "" else {}


def _example(node: Schema) -> object:
    examples = node.get("examples")
    return examples[0] if isinstance(examples, list) else ""


def _dimension(node: Schema) -> str:
    """Name the dimension of a quantity; its example tells."""
    example = str(_example(node)).partition("..")[0].strip()
    return dimension_of(example) if example else ""


def _quantity(dimension: str, example: str, *, named: bool) -> str:
    units = "|".join(re.escape(unit) for unit in spellings(dimension))
    one = rf"{NUMBER} *({units})"
    span = rf"{one} *\.\. *{one}" if ".." in example else one
    return rf"^({NAMED}|{span})$" if named else f"^{span}$"


def spellings(dimension: str) -> list[str]:
    """List all ways to write the units of a dimension, the table's own first.

    >>> spellings("temperature")
    ['°C', 'C', 'degC']
    """
    own = [unit for unit, row in UNITS.items() if row.dimension == dimension]
    typed = [head + tail for head in _HEADS for tail in _TAILS]
    micro = [unit.replace("µ", other) for unit in own if "µ" in unit for other in ("u", "μ")]
    others = [text for text in (*typed, *micro) if text not in own and spelling(text) in own]
    return [*own, *dict.fromkeys(others)]


_HEADS = ("C", "degC", "°C", "ml", "l", "ul", "uL", "µl", "μl", "μL")
_TAILS = ("", "/s", "/min", "/h")


def _text(node: Schema, named: bool) -> Schema:
    if "format" in node:
        said, pattern = _DATES[str(node["format"])]
        rest = {key: part for key, part in node.items() if key not in {"format", "default"}}
        if "default" in node:
            rest["default"] = str(node["default"]).replace("T", " ")[:16]
        return {"description": said, **rest, "pattern": pattern}
    values = node.get("enum")
    if isinstance(values, list) and any(re.fullmatch(NUMBER, str(value)) for value in values):
        # YAML 1.2 takes 7E1, a format of a serial line, for the number 70.
        rest = {key: part for key, part in node.items() if key not in {"enum", "type"}}
        return {**rest, "anyOf": [{"enum": values}, {"type": "number"}]}
    if {"enum", "const", "pattern"} & node.keys():
        return node
    return {**node, "type": _SCALAR}


def _count(node: Schema, named: bool) -> Schema:
    pattern = rf"^({NAMED}|[0-9]+)$" if named else "^[0-9]+$"
    return {**node, "type": ["integer", "string"], "pattern": pattern}


def _number(node: Schema, named: bool) -> Schema:
    pattern = rf"^({NAMED}|{NUMBER})$" if named else f"^{NUMBER}$"
    return {**node, "type": ["number", "string"], "pattern": pattern}


_WRITTEN: Final[Mapping[str, Callable[[Schema, bool], Schema]]] = {
    "string": _text,
    "integer": _count,
    "number": _number,
}


def _part(schema: Mapping[str, object], key: str) -> dict[str, Schema]:
    return cast("dict[str, Schema]", schema[key])
