"""Random recipes made from the step models' own fields, and ways to damage them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TypeVar, cast

import numpy as np
import yaml

from labctl.recipe.model import STEPS
from labctl.schemas import Schema, definition, json_schema

Rng = np.random.Generator
Tree = str | list["Tree"] | dict[str, "Tree"]
Item = TypeVar("Item")

# Where the example of a field has this unit, a number between these and one of these spellings.
_SPANS: Mapping[str, tuple[float, float, Sequence[str]]] = {
    "°C": (25, 300, ("C", "°C", "degC")),
    "K": (1, 20, ("K",)),
    "K/min": (2, 15, ("K/min", "C/min")),
    "mTorr": (50, 5000, ("mTorr", "µbar")),
    "mTorr/min": (5, 50, ("mTorr/min",)),
    "mL": (0.05, 0.8, ("mL", "ml")),
    "mmol": (0.02, 0.3, ("mmol",)),
    "min": (1, 40, ("min", "min", "s", "h")),
    "nm": (0.3, 3, ("nm",)),
    "nm/min": (0.1, 1, ("nm/min",)),
    "rpm": (200, 900, ("rpm",)),
}
_CONDITIONS = ("flask.T >= 100 C", "flask.T > 60 C and flask.P > 900 mbar", "peak >= 560 nm")
_DRAWN_ML = {"pump_1": (4.0, 9.5), "pump_2": (2.0, 4.9), "pump_3": (0.4, 0.99)}
_INNER = ("hold", "ramp", "inject", "stir", "aliquot", "wait_until", "confirm", "repeat", "if")

# What a reagent is, its concentration on the sheet, its pump.
_REAGENTS: Mapping[str, tuple[Tree, str, str]] = {
    "SQ": ({"is": "squalane"}, "", ""),
    "ODE": ({"is": "1-octadecene"}, "", ""),
    "NC": ({"is": "InP-OA 3.3 nm in toluene", "concentration": "from batch"}, "50 umol/L", ""),
    "ZN": ({"is": "zinc oleate in ODE", "concentration": "0.50 mol/L"}, "", "pump_1"),
    "S": ({"is": "TOP sulfide saturated", "concentration": "2.17 mol/L"}, "", "pump_2"),
    "HF": ({"is": "HF 48 % in acetone", "concentration": "3.5 mol/L"}, "3.4 mol/L", "pump_3"),
}

# A block's parameters bear the names of the recipe's values, so that its steps may use them too.
_PARAMETERS: dict[str, Tree] = {
    "ramp": {"default": "8 K/min", "range": "2 K/min .. 15 K/min"},
    "dose": {"default": "0.1 mmol"},
}
_SERIES: Sequence[Tree] = (
    {"many": ["1", "2"]},
    {"ramp": ["5 K/min", "10 K/min"]},
    {"many": ["1", "2"], "ramp": ["5 K/min", "10 K/min", "12 K/min"]},
)


def pick(rng: Rng, of: Sequence[Item]) -> Item:
    """Draw one of several."""
    return of[int(rng.integers(len(of)))]


class Maker:
    """Makes one recipe with its batch sheet; every draw comes from `rng`."""

    def __init__(self, rng: Rng) -> None:
        self.rng = rng
        self._ids = 0
        self.baselines: list[str] = []
        self._block: list[Tree] = []
        self.reagents = [name for name in _REAGENTS if name == "SQ" or rng.random() < 0.7]

    def recipe(self) -> Tree:
        """Return a recipe that labctl should read, though its checker may find fault with it."""
        rng = self.rng
        if rng.random() < 0.4:
            self._block = self._made_block()
        stages: dict[str, list[Tree]] = {"load": self._loading()} if rng.random() < 0.9 else {}
        for n in range(int(rng.integers(1, 4))):
            stages[f"part{n}"] = self._steps(list(STEPS), 5, 0)
        tree: dict[str, Tree] = {
            "labctl": "recipe/1",
            "name": "made at random",
            "needs": {"vessel": "50 mL", "max_T": "330 C"},
            "choose": {
                "many": {"one_of": ["1", "2"], "default": pick(rng, ["1", "2"])},
                "dose": {"by": "many", "1": "0.1 mmol", "2": "0.25 mmol"},
            },
            "assumed": {"ramp": {"value": "10 K/min", "why": "no rates given"}},
            "reagents": {name: _REAGENTS[name][0] for name in self.reagents},
            "stages": cast("Tree", stages),
        }
        if self._block:
            tree["blocks"] = {"made": {"parameters": _PARAMETERS, "steps": self._block}}
        if rng.random() < 0.3:
            tree["series"] = pick(rng, _SERIES)
        if rng.random() < 0.4:
            tree["finally"] = self._steps(["backfill", "confirm", "log"], 2, 0)
        return tree

    def batch(self) -> Tree:
        """Return the sheet that goes with it."""
        loads: dict[str, Tree] = {}
        for name in self.reagents:
            _, concentration, pump = _REAGENTS[name]
            row: dict[str, Tree] = {"lot": name}
            if concentration:
                row["concentration"] = concentration
            if pump and self.rng.random() < 0.8:
                row |= {"pump": pump, "drawn": self.number(_DRAWN_ML[pump], "mL")}
            else:
                row["by"] = "hand"
            loads[name] = row
        head: dict[str, Tree] = {"labctl": "batch/1", "date": "2025-11-03 09:00", "sample": "F-1"}
        return head | {"operator": "A", "second": "B", "vessel": "flask50", "loads": loads}

    def _loading(self) -> list[Tree]:
        """Return what a sensible recipe begins with, so that its checker has little to say."""
        steps: list[Tree] = [
            {"charge": {"reagent": "SQ", "volume": self.number((6.0, 14.0), "mL"), "by": "hand"}},
            {"stir": "600 rpm"},
            {"reference": {"of": "absorbance", "in": "flask"}},
            {"prime": {"reagents": list(self.reagents), "into": "waste"}},
        ]
        if "HF" in self.reagents:
            steps.append({"confirm": {"who": "two people", "for": "HF", "list": ["gloves"]}})
        return steps

    def _made_block(self) -> list[Tree]:
        """Return the steps of a block; the baselines it takes are not known outside, nor others."""
        outside, self.baselines = self.baselines, []
        steps = self._steps(list(STEPS), 4, 1)
        self.baselines = outside
        return steps

    def _use(self) -> Tree:
        """Return a `use` of the block, with some of its arguments."""
        given: dict[str, Tree] = {
            name: f"${name}" for name in _PARAMETERS if self.rng.random() < 0.4
        }
        use: dict[str, Tree] = {"block": "made", "with": given}
        if self.rng.random() < 0.5:
            use["id"] = cast("str", self.text("id", "use"))
        return {"use": use}

    def _steps(self, verbs: Sequence[str], most: int, depth: int) -> list[Tree]:
        usable = [
            verb
            for verb in verbs
            if verb != "when"  # goes by a choice, and is gone before there is a plan
            and not (verb == "hf_treat" and "HF" not in self.reagents)
            and not (verb in {"repeat", "if"} and depth > 1)
        ]
        count = int(self.rng.integers(1, most + 1))
        steps = [self._step(pick(self.rng, usable), depth) for _ in range(count)]
        if self._block and self.rng.random() < 0.3:
            steps.insert(int(self.rng.integers(len(steps) + 1)), self._use())
        return steps

    def _step(self, verb: str, depth: int) -> Tree:
        if verb in {"hold", "stir"} and self.rng.random() < 0.3:
            return {verb: "5 min" if verb == "hold" else "600 rpm"}
        if verb == "flush":
            return {verb: {pick(self.rng, self.reagents): ["toluene into waste"]}}
        fields = self._object(STEPS[verb].__name__, verb)
        if verb in {"repeat", "if"}:
            for key in {"repeat": ("steps",), "if": ("then", "otherwise")}[verb]:
                fields[key] = cast("Tree", self._steps(_INNER, 2, depth + 1))
        _MEND.get(verb, _as_made)(self, fields)
        return {verb: fields}

    def _object(self, name: str, verb: str) -> dict[str, Tree]:
        own = definition(_schema(), name)
        required = cast("Sequence[str]", own.get("required", ()))
        properties = cast("Mapping[str, Schema]", own.get("properties", {}))
        made: dict[str, Tree] = {}
        for key, part in properties.items():
            if key in required or self.rng.random() < 0.35:
                value = self._value(key, part, verb)
                if value is not None:
                    made[key] = value
        return made

    def _value(self, key: str, part: Schema, verb: str) -> Tree | None:
        if "const" in part:
            return str(part["const"])
        if "enum" in part:
            return pick(self.rng, cast("Sequence[str]", part["enum"]))
        if "examples" in part:
            return self._quantity(str(cast("Sequence[str]", part["examples"])[0]), key)
        if "$ref" in part:
            return cast("Tree", self._object(str(part["$ref"]).rpartition("/")[2], verb))
        if "anyOf" in part:
            return self._value(key, pick(self.rng, cast("Sequence[Schema]", part["anyOf"])), verb)
        if part.get("type") == "array":
            return self._list(key, cast("Schema", part["items"]), verb)
        if "minimum" in part or ("number" in str(part.get("type")) and "alpha" in key):
            return str(self.rng.integers(1, 6)) if "minimum" in part else "1e-3"
        return self.text(key, verb)

    def _list(self, key: str, items: Schema, verb: str) -> Tree | None:
        if "$ref" in items and str(items["$ref"]).endswith("/Step"):
            return None
        if key == "reagents":
            return list(dict.fromkeys(pick(self.rng, self.reagents) for _ in range(2)))
        made = [self._value(key, items, verb) for _ in range(int(self.rng.integers(1, 3)))]
        kept = [item for item in made if item is not None]
        return cast("Tree", list({str(item): item for item in kept}.values()))

    def _quantity(self, example: str, key: str) -> str:
        if ".." in example:
            return "1 K .. 15 K"
        unit = example.partition(" ")[2]
        if unit == "K/min" and self.rng.random() < 0.3:
            return "$ramp"
        if unit == "mmol" and self.rng.random() < 0.2:
            return "$dose"
        low, high, spellings = _SPANS[unit]
        if key in {"start_near", "trim_to"}:
            low, high = 450.0, 600.0
        return self.number((low, high), pick(self.rng, spellings))

    def number(self, span: tuple[float, float], unit: str) -> str:
        """Return a quantity with a number between two."""
        return f"{self.rng.uniform(*span):.3g} {unit}"

    def text(self, key: str, verb: str) -> Tree | None:
        """Return what a field that takes words may say."""
        rng = self.rng
        if key in {"id", "as", "label"}:
            self._ids += 1
            if key == "as":
                self.baselines.append(f"n{self._ids}")
            return f"n{self._ids}"
        if key == "reagent":
            return "HF" if verb == "hf_treat" else pick(rng, self.reagents)
        if key in {"when", "until", "condition"}:
            return pick(rng, _CONDITIONS)
        if key == "fields":
            return {"cold_1S": "nm"}
        if key == "reaches":
            return f"peak {pick(rng, ['>=', '<='])} {rng.uniform(450, 600):.1f} nm"
        return {"solvent": "toluene", "since": "", "for": "1S of the aliquot"}.get(key, "waste")


def _as_made(maker: Maker, fields: dict[str, Tree]) -> None:
    """Leave the fields as they are."""


def _one_measure(maker: Maker, fields: dict[str, Tree]) -> None:
    if ("amount" in fields) == ("volume" in fields):
        fields.pop("amount", None)
        fields["volume"] = maker.number((0.05, 0.5), "mL")


def _inject(maker: Maker, fields: dict[str, Tree]) -> None:
    parts = fields.get("together")
    if isinstance(parts, list) and parts:
        for key in ("reagent", "amount", "volume"):
            fields.pop(key, None)
        for part in parts:
            if isinstance(part, dict):
                _one_measure(maker, part)
    else:
        fields.pop("together", None)
        fields["reagent"] = pick(maker.rng, maker.reagents)
        _one_measure(maker, fields)
    if "over" not in fields and "within" not in fields:
        fields["over"] = "2 min"


def _wait_until(maker: Maker, fields: dict[str, Tree]) -> None:
    goals = ("saturated", "reaches", "steady", "condition")
    kept = pick(maker.rng, goals if maker.baselines else goals[1:])
    for key in (*goals, "since", "also_flat"):
        fields.pop(key, None)
    fields[kept] = str(maker.text(kept, "")) if kept in {"reaches", "condition"} else "peak"
    if kept == "saturated":
        fields["since"] = pick(maker.rng, maker.baselines)
    for key in ("on_timeout", "on_no_data"):
        if isinstance(fields.get(key), dict):
            fields[key] = {
                "ask": "go on", "choices": ["extend 5 min", "accept", "park"], "default": "park",
                "after": "10 min",
            }  # fmt: skip


def _hold(maker: Maker, fields: dict[str, Tree]) -> None:
    fields.pop("since", None)
    if maker.rng.random() < 0.2:
        fields["since"] = "flask.T >= 50 C"


def _backfill(maker: Maker, fields: dict[str, Tree]) -> None:
    if "cycles" not in fields and "keep_N2_until" not in fields:
        fields["cycles"] = "2"


def _ask(maker: Maker, fields: dict[str, Tree]) -> None:
    for key in ("unit", "range", "choices", "default", "anchors", "simulated"):
        fields.pop(key, None)
    if maker.rng.random() < 0.5:
        fields |= {"unit": "nm", "range": "440 nm .. 600 nm"}
        return
    own: dict[str, Tree] = {"none": "go on", "some": "park", "not yet": "extend 5 min"}
    fields |= {"choices": own, "default": "some", "after": "10 min"}


def _repeat(maker: Maker, fields: dict[str, Tree]) -> None:
    fields["at_most"] = str(maker.rng.integers(1, 6))
    fields.pop("last", None)


def _weigh(maker: Maker, fields: dict[str, Tree]) -> None:
    fields["shots"] = str(maker.rng.integers(3, 11))


_MEND: Mapping[str, Callable[[Maker, dict[str, Tree]], None]] = {
    "charge": _one_measure, "inject": _inject, "wait_until": _wait_until, "hold": _hold,
    "ask": _ask, "repeat": _repeat, "backfill": _backfill, "weigh": _weigh,
}  # fmt: skip


@cache
def _schema() -> Schema:
    return json_schema("recipe")


def written(tree: Tree) -> str:
    """Return a tree as YAML, leaves on one line as people write them."""
    return yaml.safe_dump(tree, sort_keys=False, default_flow_style=None, allow_unicode=True)


def _bytes(rng: Rng, text: str) -> bytes:
    data = bytearray(text.encode())
    for _ in range(int(rng.integers(1, 6))):
        at = int(rng.integers(len(data)))
        data[at : at + int(rng.integers(2))] = rng.bytes(int(rng.integers(3)))
    return bytes(data)


def _lines(rng: Rng, text: str) -> bytes:
    lines = text.splitlines(keepends=True)
    at = int(rng.integers(len(lines)))
    if rng.random() < 0.5:
        del lines[at : at + int(rng.integers(1, 4))]
    else:
        lines.insert(int(rng.integers(len(lines))), lines[at])
    return "".join(lines).encode()


def _replaced(rng: Rng, text: str, pattern: str, values: Sequence[str]) -> bytes:
    found = list(re.finditer(pattern, text))
    if not found:
        return text.encode()
    at = pick(rng, found)
    return (text[: at.start()] + pick(rng, values) + text[at.end() :]).encode()


_UNITS = ("K", "C", "min", "mL", "mmol", "nm", "mbar", "furlong", "K/min", "", "s", "h", "kg")
_NUMBERS = (
    "-1",
    "0",
    "1e9",
    "1e400",
    "nan",
    "inf",
    "-0.0",
    "1e-300",
    "007",
    "9" * 400,
    "٣",
    "1:30",
)
_NODES = ("[]", "{}", "~", "on", "&a [*a]", "[[[]]]", "{a: b}", "'x'", "$nothing", "!!int 3", "? ")


def _structure(rng: Rng, text: str) -> bytes:
    pattern = r"(?<=: )[^\n,{}\[\]]+|\{[^{}\n]*\}|\[[^\[\]\n]*\]"
    return _replaced(rng, text, pattern, _NODES)


def _names(rng: Rng, text: str) -> bytes:
    found = list(re.finditer(r"[A-Za-z_]{2,}", text))
    at, other = pick(rng, found), pick(rng, found)
    new = other[0] if rng.random() < 0.5 else at[0][1:] + at[0][0]
    return (text[: at.start()] + new + text[at.end() :]).encode()


DAMAGE: Mapping[str, Callable[[Rng, str], bytes]] = {
    "none": lambda rng, text: text.encode(),
    "bytes": _bytes,
    "lines": _lines,
    "structure": _structure,
    "units": lambda rng, text: _replaced(rng, text, r"(?<=\d )[A-Za-z°µ/]+", _UNITS),
    "numbers": lambda rng, text: _replaced(rng, text, r"(?<![\w.])\d+(?:\.\d+)?(?= )", _NUMBERS),
    "names": _names,
}
