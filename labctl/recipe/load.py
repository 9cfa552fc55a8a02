"""Recipe file -> Recipe: choices made, `$name` replaced, every step typed, every error placed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from labctl.chemistry.reagent import parse_composition
from labctl.errors import Finding, FindingsError, RefusedError, nearest
from labctl.recipe.arguments import arguments_of
from labctl.recipe.blocks import NESTED, VERB, Files, Use, grafted
from labctl.recipe.choices import settings_of, substituted
from labctl.recipe.model import STEPS, Head, Recipe, Stage
from labctl.recipe.series import Member, members_of, series_of
from labctl.recipe.steps.base import Step, flattened
from labctl.recipe.steps.when import When
from labctl.source import Document, Node, Place, collect, read, validate

SECTIONS = ("choose", "series", "blocks", "stages", "finally")
_LOCAL = re.compile(r"[A-Za-z_]\w*(\.\w+)*")


def load_recipe(path: Path, settings: Mapping[str, str] | None = None) -> Recipe:
    """Read a recipe and make its choices.

    Raises:
        FindingsError: everything wrong in the file that can be seen without a rig.
        UsageError: a setting that is not allowed.
    """
    return open_recipe(path).recipe(settings or {})


@dataclass(frozen=True, slots=True)
class Opened:
    """A recipe that was read, its blocks grafted in, to be given its types once or many times."""

    document: Document
    files: Files

    def recipe(self, settings: Mapping[str, str]) -> Recipe:
        """Make the choices and give the recipe its types.

        Raises:
            FindingsError: everything wrong in the file that can be seen without a rig.
            UsageError: a setting that is not allowed.
        """
        return _typed(self.document, settings, self.files.texts)

    def members(self, settings: Mapping[str, str]) -> tuple[Member, ...]:
        """Return the members of the recipe's series; none without one, or where all are set.

        Raises:
            FindingsError: choices or a series that cannot be read.
            UsageError: a setting that is not allowed.
        """
        series = series_of(self.document, settings_of(self.document, settings))
        return members_of(series, settings)


def open_recipe(path: Path) -> Opened:
    """Read a recipe and the files that it uses.

    Raises:
        FindingsError: a file that cannot be read, or a block that cannot be used.
    """
    return opened(read(path))


def opened(document: Document, files: Files | None = None) -> Opened:
    """Graft blocks into a composed recipe; `files` are those beside it unless given.

    Raises:
        FindingsError: a file that cannot be read, or a block that cannot be used.
    """
    beside = files or Files(Path(document.file).parent)
    return Opened(grafted(document, beside), beside)


def recipe_of(document: Document, settings: Mapping[str, str]) -> Recipe:
    """Give a composed recipe its types.

    Raises:
        FindingsError: everything wrong in the file that can be seen without a rig.
        UsageError: a setting that is not allowed.
    """
    return opened(document).recipe(settings)


def _typed(document: Document, settings: Mapping[str, str], texts: Mapping[str, str]) -> Recipe:
    tree = document.mapping()
    chosen = settings_of(document, settings)
    series = series_of(document, chosen)
    bare: Node = {key: value for key, value in tree.items() if key not in SECTIONS}
    heads: list[Head] = []
    stages: list[Stage] = []
    final: list[tuple[Step, ...]] = []
    builder = _Builder(document, _Scope(chosen))
    names = document.mapping(("stages",)) if "stages" in tree else {}
    attempts: list[Callable[[], object]] = [
        lambda: heads.append(validate(Head, document, (), bare)),
        *(partial(_stage, builder, stages, name) for name in names),
        lambda: final.append(builder.steps(tree.get("finally", []), ("finally",), "finally")),
    ]
    collect(attempts)
    recipe = Recipe(heads[0], chosen, tuple(stages), final[0], document, series, texts)
    findings = list(_names(recipe))
    if findings:
        raise FindingsError(findings)
    return recipe


def _stage(builder: _Builder, stages: list[Stage], name: str) -> None:
    place: Place = ("stages", name)
    stages.append(Stage(name, builder.steps(builder.document.at(place), place, name)))


@dataclass(frozen=True, slots=True)
class _Scope:
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


class _Builder:
    """Builds steps from nodes, children first, and numbers those without an id."""

    def __init__(self, document: Document, scope: _Scope) -> None:
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
        scope = _Scope(arguments, (*place, "parameters"), f"{own}.")
        return _Builder(self.document, scope).steps(fields.get("steps", ""), (*place, "steps"), own)

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


def _names(recipe: Recipe) -> Iterator[Finding]:
    unknown = list(_reagents(recipe))
    yield from unknown
    if not unknown:
        yield from _steps(recipe)


def _reagents(recipe: Recipe) -> Iterator[Finding]:
    for name, reagent in recipe.head.reagents.items():
        try:
            parse_composition(reagent.is_)
        except RefusedError as error:
            mark = recipe.document.mark(("reagents", name, "is"))
            yield mark.finding("names.unknown_substance", f"{name}: {error}")


def _steps(recipe: Recipe) -> Iterator[Finding]:
    seen: dict[str, Step] = {}
    baselines: set[str] = set()
    for stage in recipe.all_stages:
        for step in flattened(stage.steps):
            if step.id in seen:
                message = f"two steps are called {step.id!r}"
                yield step.mark.finding("names.duplicate_id", message)
            yield from _asked_reagents(recipe, step)
            yield from _solids(recipe, step)
            yield from _anchors(step, seen, baselines)
            seen[step.id] = step
            baselines.add(str(vars(step).get("as_", "")))
    for name in recipe.head.park:
        if name not in {stage.name for stage in recipe.stages}:
            message = f"park names stage {name!r}, which does not exist"
            hint = nearest(name, [stage.name for stage in recipe.stages])
            mark = recipe.document.key_mark(("park", name))
            yield mark.finding("names.unknown_stage", message + hint)


def _asked_reagents(recipe: Recipe, step: Step) -> Iterator[Finding]:
    for place, name in _named_reagents(step):
        if name not in recipe.head.reagents:
            message = f"reagent {name!r} is not among the reagents"
            hint = nearest(name, recipe.head.reagents)
            mark = recipe.document.mark((*step.place, *place))
            yield mark.finding("names.unknown_reagent", message + hint)


def _named_reagents(step: Step) -> Iterator[tuple[Place, str]]:
    # Not getattr: asking a model for a field that it has not costs more than all the rest.
    has = vars(step)
    if has.get("reagent"):
        yield ("reagent",), has["reagent"]
    for n, name in enumerate(has.get("reagents", ())):
        yield ("reagents", n), name
    for name in has.get("lines", ()):
        yield (name,), name
    for n, part in enumerate(has.get("together", ())):
        yield ("together", n, "reagent"), part.reagent


def _solids(recipe: Recipe, step: Step) -> Iterator[Finding]:
    for part in map(vars, (step, *vars(step).get("together", ()))):
        reagent = recipe.head.reagents.get(part.get("reagent", ""))
        if reagent is None or part.get("volume") is None:
            continue
        composition = parse_composition(reagent.is_)
        if composition.substance.state == "solid" and composition.solvent is None:
            message = f"{composition.substance.name} is weighed; give an `amount`, not a volume"
            yield step.mark.finding("dose.solid", message)


def _anchors(step: Step, seen: Mapping[str, Step], baselines: set[str]) -> Iterator[Finding]:
    exposure = vars(step).get("exposure")
    since = exposure.since if exposure else str(vars(step).get("since", ""))
    if not since:
        return
    name, dot, part = since.rpartition(".")
    if dot and part in {"start", "end"} and name not in seen:
        message = f"since: {since} names a step that does not come before"
        yield step.mark.finding("names.unknown_step", message + nearest(name, seen))
    if step.verb == "wait_until" and not dot and since not in baselines:
        message = f"since: {since} names no baseline taken before"
        yield step.mark.finding("names.unknown_baseline", message + nearest(since, baselines))
