"""Recipe file -> Recipe: choices made, `$name` replaced, every step typed, every error placed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from labctl.chemistry.reagent import parse_composition
from labctl.errors import Finding, FindingsError, RefusedError, nearest
from labctl.recipe.blocks import Files, grafted
from labctl.recipe.building import Builder, Scope
from labctl.recipe.choices import settings_of
from labctl.recipe.model import Head, Recipe, Stage
from labctl.recipe.series import Member, members_of, series_of
from labctl.recipe.steps.base import Step, flattened
from labctl.source import Document, Node, Place, collect, read, validate

SECTIONS = ("choose", "series", "blocks", "stages", "finally")


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
    builder = Builder(document, Scope(chosen))
    names = document.mapping(("stages",)) if "stages" in tree else {}
    attempts: list[Callable[[], object]] = [
        lambda: heads.append(validate(Head, document, (), bare)),
        *(partial(_stage, builder, stages, name) for name in names),
        lambda: final.append(builder.steps(tree.get("finally", []), ("finally",), "finally")),
    ]
    collect(attempts)
    recipe = Recipe(heads[0], chosen, tuple(stages), final[0], document, series, texts)
    findings = list(misnamed(recipe))
    if findings:
        raise FindingsError(findings)
    return recipe


def _stage(builder: Builder, stages: list[Stage], name: str) -> None:
    place: Place = ("stages", name)
    stages.append(Stage(name, builder.steps(builder.document.at(place), place, name)))


def misnamed(recipe: Recipe) -> Iterator[Finding]:
    """Yield names in a recipe that mean nothing: reagents, steps, baselines, stages."""
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
