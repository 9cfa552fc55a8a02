"""Steps from the nodes of a recipe: typed, named and placed, with blocks and variants settled."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from labctl.errors import FindingsError, nearest
from labctl.recipe.arguments import arguments_of
from labctl.recipe.blocks import NESTED, VERB, Use
from labctl.recipe.choices import substituted
from labctl.recipe.model import STEPS
from labctl.recipe.steps.base import Step
from labctl.recipe.steps.when import When
from labctl.source import Document, Node, Place, collect, validate

_LOCAL = re.compile(r"[A-Za-z_]\w*(\.\w+)*")


@dataclass(frozen=True, slots=True)
class Scope:
    """What names mean where steps stand: in the recipe, or in a block that is used.

    `settings` are what `$name` stands for, `declared` where they are; `prefix` comes before what a
    block calls its steps and baselines.
    """

    settings: Mapping[str, str]
    declared: Place = ("choose",)
    prefix: str = ""

    @property
    def known(self) -> str:
        """What a name is not that has no value."""
        return "no parameter of the block" if self.prefix else "neither chosen nor assumed"

    def called(self, step: Step) -> Step:
        """Give a step and the baseline that it takes the names they have outside of the block."""
        for key in ("id", "as_"):
            if self.prefix and vars(step).get(key):
                object.__setattr__(step, key, self.prefix + vars(step)[key])
        return step

    def named(self, fields: dict[str, Node]) -> dict[str, Node]:
        """Return a step's fields, in which names of other steps and baselines are those of here."""
        if not self.prefix:
            return fields
        own = dict(fields)
        if isinstance(since := own.get("since"), str) and _LOCAL.fullmatch(since):
            own["since"] = self.prefix + since
        if isinstance(exposure := own.get("exposure"), dict):
            own["exposure"] = self.named(exposure)
        return own


class Builder:
    """Builds steps from nodes, children first, and numbers those without an id."""

    def __init__(self, document: Document, scope: Scope) -> None:
        self.document = document
        self._scope = scope

    def steps(self, node: Node, place: Place, prefix: str) -> tuple[Step, ...]:
        """Build a list of steps; `prefix.N` names those without an id.

        Raises:
            FindingsError: everything wrong in them.
        """
        if not isinstance(node, list):
            message = f"{'.'.join(map(str, place))} must be a list of steps"
            raise FindingsError([self.document.mark(place).finding("schema.steps", message)])
        built: list[Step] = []
        collect(
            partial(self._append, built, item, (*place, n), f"{prefix}.{n + 1}")
            for n, item in enumerate(node)
        )
        return tuple(built)

    def _append(self, built: list[Step], node: Node, place: Place, name: str) -> None:
        if isinstance(node, dict) and list(node) == [VERB]:
            built += self._used(node[VERB], (*place, VERB), name)
            return
        step = self._step(node, place, name)
        if not isinstance(step, When):
            built.append(step)
        elif self._chosen(step) in step.values:
            built += step.steps

    def _used(self, fields: Node, place: Place, name: str) -> tuple[Step, ...]:
        """Build the steps of a block where it is used."""
        if not isinstance(fields, dict):
            message = "use needs its values, written `use: {block: name, with: {key: value}}`"
            raise self._refused(place, message)
        said: Node = {
            key: self._meant(value, (*place, key))
            for key, value in fields.items()
            if key not in {"parameters", "steps"}
        }
        use = validate(Use, self.document, place, said)
        own = f"{self._scope.prefix}{use.id}" if use.id else name
        arguments = arguments_of(self.document, place, use.with_)
        scope = Scope(arguments, (*place, "parameters"), f"{own}.")
        return Builder(self.document, scope).steps(fields.get("steps", ""), (*place, "steps"), own)

    def _meant(self, node: Node, place: Place) -> Node:
        return substituted(self.document, node, place, self._scope.settings, self._scope.known)

    def _chosen(self, step: When) -> str:
        """Return the value of the choice that a `when` goes by.

        Raises:
            FindingsError: there is no such choice, or it can never be what `is` says.
        """
        mark = self.document.mark((*step.place, "choice"))
        settings = self._scope.settings
        if step.choice not in settings:
            message = f"{step.choice!r} is not chosen{nearest(step.choice, settings)}"
            raise FindingsError([mark.finding("names.unknown_choice", message)])
        row = self.document.at((*self._scope.declared, step.choice))
        allowed = row.get("one_of") if isinstance(row, dict) else None
        never = (
            sorted(set(step.values) - set(allowed)) if isinstance(allowed, list) else step.values
        )
        if never:
            of = (
                f"one of {', '.join(map(str, allowed))}" if isinstance(allowed, list) else "no list"
            )
            message = f"{step.choice} is never {never[0]!r}; it is {of}"
            at = self.document.mark((*step.place, "is"))
            raise FindingsError([at.finding("choices.no_row", message)])
        return settings[step.choice]

    def _step(self, node: Node, place: Place, name: str) -> Step:
        if not isinstance(node, dict) or len(node) != 1:
            message = "a step is written `- verb: value`"
            raise self._refused(place, message)
        ((verb, written),) = node.items()
        if verb not in STEPS:
            at = self.document.key_mark((*place, verb))
            message = f"unknown verb {verb!r}{nearest(verb, (*STEPS, VERB))}"
            raise FindingsError([at.finding("names.unknown_verb", message)])
        kind = STEPS[verb]
        inside: Place = (*place, verb)
        fields = self._fields(written, inside)
        if kind.shorthand and not isinstance(fields, dict):
            fields = {kind.shorthand: fields}
        if not isinstance(fields, dict):
            message = f"{verb} needs its values, written `{verb}: {{key: value}}`"
            raise self._refused(place, message)
        step = validate(kind, self.document, inside, self._with_children(fields, inside, name))
        return self._scope.called(step).placed(self.document, inside, step.id or name)

    def _fields(self, written: Node, place: Place) -> Node:
        """Return a step's fields with the values that names stand for; steps inside come later."""
        if not isinstance(written, dict):
            return self._meant(written, place)
        own = self._scope.named(written)
        return {k: v if k in NESTED else self._meant(v, (*place, k)) for k, v in own.items()}

    def _refused(self, place: Place, message: str) -> FindingsError:
        return FindingsError([self.document.mark(place).finding("schema.step", message)])

    def _with_children(self, fields: dict[str, Node], place: Place, name: str) -> Node:
        ready: dict[str, object] = dict(fields)
        for key in NESTED:
            if key in fields:
                prefix = f"{name}.else" if key == "otherwise" else name
                ready[key] = self.steps(fields[key], (*place, key), prefix)
        return ready  # type: ignore[return-value]
