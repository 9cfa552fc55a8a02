"""The steps of a run that are to come, and what people change of them while it goes on.

One extra step is given while the run is held; the steps to come are changed by another recipe. Both
are checked as the whole recipe was, on the same rig and batch sheet, signed, and a deviation.
Nothing that has begun changes, and nothing that the run's rules were made for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from labctl.check import check
from labctl.check.seen import handled, names_in
from labctl.engine.fitness import PREFLIGHT
from labctl.engine.run import Run
from labctl.errors import FindingsError, RefusedError, Severity
from labctl.plan import Plan, PlannedStep, plan
from labctl.recipe.building import Builder, Scope
from labctl.recipe.load import misnamed, open_recipe
from labctl.recipe.model import Head, Recipe, Stage
from labctl.recipe.steps.base import Step
from labctl.source import compose
from labctl.units import show

FIXUP = "fixup-"
MOST_TOLD = 3
MAY_CHANGE = frozenset({"name", "source", "park", "problem"})
HOTTER_K = 0.5


class Course:
    """What has begun of one run and what is to come; `refused` words are why something is not."""

    def __init__(self, run: Run) -> None:
        self.begun: list[str] = []
        self._run = run
        self._hottest_c = hottest_c(run.plan)
        self._written = run.plan.recipe
        self._extras: list[tuple[str, Step]] = []
        self._changes = 0

    def coming(self) -> list[PlannedStep]:
        """Return the steps that have not begun, without those inside others."""
        begun = frozenset(self.begun)
        top = (planned for planned in self._run.plan.steps if not planned.parent)
        return [planned for planned in top if planned.step.id not in begun]

    def fixup(self, text: str, by: Sequence[str], before: Step) -> PlannedStep:
        """Take up one extra step, written as in a recipe, to be done before another goes on.

        Raises:
            RefusedError: it is unsigned, no single step, with HF, or not allowed there.
        """
        _signed(by)
        if before.verb == "hf_treat":
            raise RefusedError(f"{before.id} gives HF, which is not begun again after another step")
        if before.id == PREFLIGHT:
            raise RefusedError("nothing comes before the preflight: put it right, then `retry`")
        step = self._extra(text)
        self._hf_free(step)
        extras = [*self._extras, (before.id, step)]
        planned = self._checked(self._written, extras)
        found = [item for item in planned.steps if item.step.id == step.id]
        if not found:
            raise RefusedError(f"{before.id} is no step of a recipe; nothing comes before it")
        self._extras = extras
        self.begun.append(step.id)
        self._run.plan = planned
        self._run.deviation(f"{step.id} before {before.id}: {text}; signed: {', '.join(by)}")
        return found[0]

    def change(self, path: Path, by: Sequence[str]) -> None:
        """Let the steps to come be those of another recipe; what has begun is in it as it was.

        Raises:
            RefusedError: it is unsigned or cannot be read, changes what it must not, or is not
                allowed.
        """
        _signed(by)
        choose = self._written.document.mapping(("choose",)) if self._has_choices() else {}
        settings = {k: v for k, v in self._written.settings.items() if k in choose}
        recipe = open_recipe(path).recipe(settings)
        self._same_head(recipe.head)
        first = self._same_begun(recipe)
        self._run.plan = self._checked(recipe, self._extras)
        self._written = recipe
        self._changes += 1
        self._run.record.artefact(f"change-{self._changes}.yaml", recipe.document.text)
        then = f"what comes after {first}" if first else "all steps"
        self._run.deviation(f"{then} is changed to {path.name}; signed: {', '.join(by)}")

    def _has_choices(self) -> bool:
        return self._written.document.has(("choose",))

    def _extra(self, text: str) -> Step:
        document = compose(f"steps:\n- {text}\n", FIXUP + "text")
        place = ("steps",)
        scope = Scope(self._written.settings)
        steps = Builder(document, scope).steps(document.at(place), place, "fixup")
        if len(steps) != 1 or steps[0].children():
            raise RefusedError("one step is wanted, with none inside it")
        return steps[0].renamed(f"{FIXUP}{len(self._extras) + 1}")

    def _hf_free(self, step: Step) -> None:
        loads = self._run.plan.scene.loads
        given = [loads[name] for name in handled(step) if name in loads]
        if step.verb == "hf_treat" or any("HF" in names_in(load) for load in given):
            raise RefusedError("HF is given where the recipe gives it, never by an extra step")

    def _checked(self, recipe: Recipe, extras: Sequence[tuple[str, Step]]) -> Plan:
        """Return the plan with all extra steps in it.

        Raises:
            FindingsError: it breaks a rule.
            RefusedError: it is hotter than this run's rules were made for.
        """
        whole = recipe
        for before, step in extras:
            whole = _inserted(whole, before, step)
        run = self._run
        findings = list(misnamed(whole))
        if not findings:
            planned = plan(whole, run.plan.rig, run.plan.batch)
            findings = [f for f in check(planned) if f.severity is Severity.ERROR]
        if findings:
            raise FindingsError(findings[:MOST_TOLD])
        hotter_c = hottest_c(planned)
        if hotter_c > self._hottest_c + HOTTER_K:
            up_to = f"up to {show(self._hottest_c, 'temperature')}"
            message = f"the flask would get to {show(hotter_c, 'temperature')}"
            raise RefusedError(f"{message}; this run is watched for a recipe that goes {up_to}")
        return planned

    def _same_head(self, head: Head) -> None:
        old = self._written.head
        fields = [name for name in Head.model_fields if name not in MAY_CHANGE]
        changed = [name for name in fields if getattr(old, name) != getattr(head, name)]
        if changed:
            raise RefusedError(f"only steps may change while a run goes on, not {changed[0]}")

    def _same_begun(self, recipe: Recipe) -> str:
        """Return the last step that has begun, after it is seen that none of them has changed.

        Raises:
            RefusedError: one has.
        """
        ours = [id_ for id_ in self.begun if not id_.startswith(FIXUP)]
        begun = [id_ for id_ in ours if id_ != PREFLIGHT]
        old, new = _laid_out(self._written), _laid_out(recipe)
        for n, id_ in enumerate(begun):
            known = n < min(len(old), len(new)) and old[n][1].id == id_
            if not known or new[n][0] != old[n][0] or not same(old[n][1], new[n][1]):
                raise RefusedError(f"{id_} has begun and is not as it was")
        return begun[-1] if begun else ""


def hottest_c(planned: Plan) -> float:
    """Return the highest temperature of the flask that a plan has, in °C."""
    return max((item.after.temperature_c for item in planned.steps), default=0.0)


def same(old: Step, new: Step) -> bool:
    """Say whether two steps say the same, wherever they are written."""
    if type(old) is not type(new):
        return False
    return all(_alike(value, vars(new)[name]) for name, value in vars(old).items())


def _alike(old: object, new: object) -> bool:
    if isinstance(old, Step) and isinstance(new, Step):
        return same(old, new)
    if isinstance(old, tuple) and isinstance(new, tuple):
        return len(old) == len(new) and all(map(_alike, old, new))
    return old == new


def _signed(by: Sequence[str]) -> None:
    if not any(name.strip() for name in by):
        raise RefusedError("it must be signed: name who signs with --by")


def _laid_out(recipe: Recipe) -> list[tuple[str, Step]]:
    return [(stage.name, step) for stage in recipe.all_stages for step in stage.steps]


def _inserted(recipe: Recipe, before: str, extra: Step) -> Recipe:
    """Return a recipe with an extra step before another one of its stages or of its `finally`."""

    def put(steps: tuple[Step, ...]) -> tuple[Step, ...]:
        at = [n for n, step in enumerate(steps) if step.id == before]
        return (*steps[: at[0]], extra, *steps[at[0] :]) if at else steps

    stages = tuple(Stage(stage.name, put(stage.steps)) for stage in recipe.stages)
    return replace(recipe, stages=stages, finally_=put(recipe.finally_))
