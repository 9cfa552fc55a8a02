import importlib.util
import io
import json
import re
import tomllib
from pathlib import Path

import jsonschema
import pytest

from labctl.check import RULES, check
from labctl.cli.picture import picture
from labctl.cli.text import Paint
from labctl.engine.machine import State
from labctl.faults import parse_fault
from labctl.outlook.course import estimated
from labctl.plan import plan
from labctl.prepare import Request, prepare
from labctl.recipe.blocks import Files
from labctl.recipe.load import opened, recipe_of
from labctl.recipe.model import STEPS
from labctl.recipe.steps.base import Step
from labctl.record import open_run
from labctl.registry import fault_table
from labctl.rig.batch import Batch, LoadedBatch
from labctl.rig.devices import HeaterEntry
from labctl.rig.load import rig_of
from labctl.schemas import definition, json_schema
from labctl.source import compose, read, validate

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")
RULE_ID = re.compile(
    r'"((?:units|schema|names|file|batch|needs|bounds|expression|questions|choices)\.[a-z_]+'
    r'|dose\.(?:one_[a-z]+|solid))"'
)
HEAD = """\
labctl: recipe/1
name: an example
needs: {vessel: 50 mL, max_T: 325 C}
choose:
  hf: {one_of: [none, treated], default: treated}
reagents:
  NC: {is: InP-OA 3.3 nm in toluene, concentration: from batch}
  ZN: {is: zinc oleate in ODE, concentration: 0.50 mol/L}
  S: {is: TOP sulfide saturated, concentration: 2.17 mol/L}
  HF: {is: HF 48 % in acetone, concentration: 3.5 mol/L}
stages:
  only:
"""


def generator():
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATE = generator()


@pytest.mark.parametrize("name", sorted(GENERATE.pages()))
def test_the_committed_page_is_what_the_models_say(name):
    committed = (DOCS / "reference" / name).read_text(encoding="utf-8")
    assert committed == GENERATE.pages()[name], "run `python docs/generate.py`"


def test_what_a_step_does_when_it_fails_is_read_and_every_way_is_explained():
    page = (DOCS / "how-to/when-a-step-fails.md").read_text(encoding="utf-8")
    (steps,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    recipe = recipe_of(compose(HEAD + "".join(f"  {line}\n" for line in steps.splitlines())), {})
    assert [step.on_fail for step in recipe.stages[0].steps] == ["retry", "park", "safe"]
    ways = Step.model_fields["on_fail"].annotation.__args__[0].__args__
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == list(ways)


def test_every_verb_has_its_example():
    assert list(GENERATE.EXAMPLES) == list(STEPS)


@pytest.mark.parametrize("verb", list(STEPS))
def test_the_example_of_a_verb_is_read_by_labctl(verb):
    recipe = recipe_of(compose(f"{HEAD}  - {GENERATE.EXAMPLES[verb]}\n"), {})
    (step,) = recipe.stages[0].steps
    assert step.verb == ("hold" if verb == "when" else verb)  # a `when` leaves what it keeps


def test_every_rule_of_loading_is_explained_and_no_other():
    sources = [path for path in (ROOT / "labctl").rglob("*.py") if path.name != "schemas.py"]
    used = {rule for path in sources for rule in RULE_ID.findall(path.read_text(encoding="utf-8"))}
    assert set(GENERATE.LOADING) == used


def test_every_rule_of_the_plan_is_explained():
    page = GENERATE.pages()["checks.md"]
    for rule in RULES:
        assert re.search(rf"^- `{re.escape(rule)}`: \w.*\.$", page, re.MULTILINE), rule


def test_every_state_has_its_word_in_the_standards():
    assert set(GENERATE.WORDS) == set(State)
    packml = {
        "Idle", "Starting", "Execute", "Holding", "Held", "Unholding", "Suspended", "Completing",
        "Complete", "Stopping", "Stopped", "Aborting", "Aborted",
    }  # fmt: skip
    assert {words[2] for words in GENERATE.WORDS.values()} <= packml


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(DOCS)))
def test_every_link_leads_somewhere(page):
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_every_page_is_reached_from_the_index():
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    listed = {(DOCS / target).resolve() for target in LINK.findall(index)}
    folders = {path for path in listed if path.is_dir()}
    for page in set(PAGES) - {DOCS / "index.md"}:
        assert page in listed or folders & set(page.parents), page


def test_every_dependency_earns_its_row():
    page = (DOCS / "decisions/0018-dependencies.md").read_text(encoding="utf-8")
    rows = " ".join(line for line in page.splitlines() if line.startswith("| "))
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    extras = project["optional-dependencies"]
    asked = [*project["dependencies"], *(name for part in extras.values() for name in part)]
    for requirement in asked:
        name = re.match(r"[\w-]+", requirement)[0]
        assert re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", rows), name


@pytest.mark.parametrize("page", sorted((DOCS / "decisions").glob("*.md")), ids=lambda p: p.stem)
def test_a_decision_says_what_was_refused_and_what_follows(page):
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"# {page.stem[:4]} ")
    for heading in ("## Context", "## Decision", "## Refused", "## Consequences"):
        assert heading in text, heading


def yaml_of(page):
    return re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def test_the_recipe_of_the_guide_is_read_by_labctl():
    blocks = yaml_of(DOCS / "how-to/write-a-recipe.md")
    recipe = recipe_of(compose("".join(blocks[:5])), {"zinc": "high"})
    assert [stage.name for stage in recipe.stages] == ["load", "degas", "react"]
    assert recipe.stages[2].steps[1].amount == 1.5
    waiting = recipe_of(compose(HEAD + "".join(f"  {x}" for x in blocks[5].splitlines(True))), {})
    assert waiting.stages[0].steps[2].since == "before"


def test_the_series_and_the_blocks_of_the_guide_are_read_by_labctl():
    series, _, block, uses, file = yaml_of(DOCS / "how-to/write-a-recipe.md")[-5:]
    choose = HEAD[HEAD.index("choose:") : HEAD.index("reagents:")]
    text = HEAD.replace(choose, series) + "  - hold: {for: $t}\n"
    members = opened(compose(text)).members({})
    assert len(members) == 6
    assert members[1].label == "hf = none, t = 3 min"
    assert len(opened(compose(text)).members({"t": "3 min"})) == 2

    used = "".join(f"  {line}" for line in uses.splitlines(keepends=True))
    recipe = recipe_of(compose(HEAD.replace("stages:", block + "stages:") + used), {})
    ids = [step.id for step in recipe.stages[0].steps]
    assert ids == ["first.1", "first.taken", "only.2.1", "only.2.taken", "only.3"]
    assert recipe.stages[0].steps[2].for_ == 600.0

    text = f"{HEAD}  - use: {{recipe: degas.yaml, with: {{rate: 7 K/min}}}}\n"
    files = Files(Path(), {"degas.yaml": file})
    steps = opened(compose(text), files).recipe({}).stages[0].steps
    assert [step.verb for step in steps] == ["strip", "degas", "backfill"]
    assert steps[1].rate == 7.0


def test_the_use_of_the_reference_is_read_by_labctl():
    tight = "blocks: {tight: {parameters: {cycles: {default: 1}}, steps: [stir: 9 rpm]}}\n"
    text = HEAD.replace("stages:", f"{tight}stages:") + f"  - {GENERATE.USE_EXAMPLE}\n"
    assert recipe_of(compose(text), {}).stages[0].steps[0].id == "gas.1"


def test_the_interlocks_of_the_explanation_are_read_and_checked_by_labctl():
    (rules,) = yaml_of(DOCS / "explanations/interlocks.md")
    rig = (ROOT / "rigs/schlenk.yaml").read_text(encoding="utf-8")
    shipped = set(re.findall(r"^- {id: (\w+)", rig, re.MULTILINE))
    rows = rules.splitlines()[1:]
    new = [row for row in rows if re.match(r"- {id: (\w+)", row)[1] not in shipped]
    assert len(new) == 2
    path = ROOT / "recipes/inp_zns_surface_initiated.yaml"
    sheet = compose(path.with_suffix(".batch.yaml").read_text(encoding="utf-8"))
    batch = LoadedBatch(validate(Batch, sheet, ()), sheet)
    planned = plan(recipe_of(read(path), {}), rig_of(compose(rig + "\n".join(new))), batch)
    assert [f for f in check(planned) if f.rule.startswith("interlocks.")] == []


def test_the_sheet_of_the_guide_is_read_by_labctl():
    sheet, accept = yaml_of(DOCS / "how-to/fill-a-batch-sheet.md")
    batch = validate(Batch, compose(sheet + accept), ())
    assert batch.accept["order.vacuum_after_hf"].by == "MT"


def test_the_calibration_of_the_guide_is_read_by_labctl():
    (text,) = yaml_of(DOCS / "how-to/calibrate.md")
    heater = validate(HeaterEntry, compose(text), ("heater",))
    assert heater.calibration.correction().corrected(99.2) == pytest.approx(98.5)


def test_the_mistake_of_the_tutorial_is_told_as_it_says():
    text = (ROOT / "recipes/inp_zns_surface_initiated.yaml").read_text(encoding="utf-8")
    tutorial = (DOCS / "tutorial/first-dry-run.md").read_text(encoding="utf-8")
    told = re.search(r"mine\.yaml:(\d+):(\d+): error: (.+) \[", tutorial)
    line = text.splitlines()[int(told[1]) - 1].replace("320 C", "360 C")
    assert line[int(told[2]) - 1 :].startswith("360 C")
    assert line.strip() in tutorial


def test_the_editor_settings_give_every_shipped_file_a_schema_that_it_fits():
    page = (DOCS / "how-to/edit-with-schema.md").read_text(encoding="utf-8")
    written = dict(re.findall(r"labctl check --schema (\w+) > (\S+)", page))
    settings = json.loads(re.search(r"```json\n(.*?)```", page, re.DOTALL)[1])
    kinds = {f"./{path}": kind for kind, path in written.items()}
    assert set(settings["yaml.schemas"]) == set(kinds)
    met = set()
    for target, patterns in settings["yaml.schemas"].items():
        files = set()
        for pattern in patterns:
            found = set(ROOT.glob(pattern.removeprefix("!")))
            files = files - found if pattern.startswith("!") else files | found
        assert files, patterns
        assert not files & met, "one schema a file"
        met |= files
        validator = jsonschema.Draft202012Validator(json_schema(kinds[target]))
        for path in sorted(files):
            assert list(validator.iter_errors(read(path).tree)) == [], path
    shipped = {*(ROOT / "recipes").rglob("*.yaml"), *(ROOT / "rigs").glob("*.yaml")}
    assert {path for path in shipped - met if not path.name.endswith(".expect.yaml")} == set()


def test_the_file_of_the_editor_page_fits_and_its_mistakes_do_not():
    page = (DOCS / "how-to/edit-with-schema.md").read_text(encoding="utf-8")
    text = re.search(r"```yaml\n(.*?)```", page, re.DOTALL)[1]
    assert [stage.name for stage in recipe_of(compose(text), {}).stages] == ["load", "warm"]
    validator = jsonschema.Draft202012Validator(json_schema("recipe"))
    assert validator.is_valid(compose(text).tree)
    assert not validator.is_valid(compose(text.replace("to: 60 C", "to: 60")).tree)
    assert not validator.is_valid(compose(text.replace("- hold:", "- holdd:")).tree)
    ramp = definition(json_schema("recipe"), "Ramp")["properties"]["within"]
    assert f"*{ramp['description']}*" in page.replace("\n", " ")


def test_the_picture_of_the_plan_page_is_what_labctl_draws():
    page = (DOCS / "how-to/plan-a-run.md").read_text(encoding="utf-8")
    planned, _ = prepare(Request(ROOT / "recipes/inp_zns_surface_initiated.yaml"))
    lines = picture(estimated(planned), planned.batch.model.date, Paint(io.StringIO()), 80)
    assert "\n".join(lines) in page


WARM_DAY = """
labctl: recipe/1
name: a warm day
needs: {vessel: 50 mL, max_T: 100 C}
reagents: {SQ: {is: squalane}}
problem: {do: freeze, unanswered: 2 min, then: park}
park: {heat: 25 C}
stages:
  heat:
  - charge: {reagent: SQ, volume: 10 mL, by: hand}
  - stir: 600 rpm
  - ramp: {id: up, to: 90 C, rate: 15 K/min, within: 2 K, settle: 10 s}
"""
WARM_SHEET = """
labctl: batch/1
date: 2025-11-03 09:00
sample: T
operator: YK
second: MT
vessel: flask50
loads: {SQ: {lot: a, by: hand}}
accept: {thermal.air_exposure: {reason: nothing in it minds air, by: MT, date: 2025-11-03}}
"""


def test_the_example_of_the_fault_page_runs_and_ends_as_it_says(tmp_path, monkeypatch):
    page = (DOCS / "how-to/rehearse-a-fault.md").read_text(encoding="utf-8")
    code = re.search(r"```python\n(.*?)```", page, re.DOTALL)[1]
    (tmp_path / "day.yaml").write_text(WARM_DAY, encoding="utf-8")
    (tmp_path / "day.batch.yaml").write_text(WARM_SHEET, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    done = {}
    exec(code, done)  # noqa: S102 - the page's own example
    with open_run(done["result"].directory) as run:
        (told,) = [event.message for event in run.events if event.code == "fault.acted"]
    shown = re.search(r"injected\n  (.*)\n```", page)[1]
    assert told.replace("(contact=0.7)", "") == shown


def test_every_fault_that_a_page_spells_can_be_read():
    pages = [*PAGES, ROOT / "README.md"]
    spelled = re.compile(r"--fault '?([a-z_]+(?:\([^)]*\))?@[^\s'`,]+)")
    found = [spec for page in pages for spec in spelled.findall(page.read_text(encoding="utf-8"))]
    assert len(found) >= 3
    for spec in found:
        parse_fault(spec, fault_table())
