import importlib.util
import re
from pathlib import Path

import pytest

from labctl.check import RULES
from labctl.engine.machine import State
from labctl.recipe.load import recipe_of
from labctl.recipe.model import STEPS
from labctl.source import compose

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")
RULE_ID = re.compile(
    r'"((?:units|schema|names|file|batch|needs|bounds|expression|questions|choices)\.[a-z_]+'
    r'|dose\.one_[a-z]+)"'
)
HEAD = """\
labctl: recipe/1
name: an example
needs: {vessel: 50 mL, max_T: 325 C}
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


def test_every_verb_has_its_example():
    assert list(GENERATE.EXAMPLES) == list(STEPS)


@pytest.mark.parametrize("verb", list(STEPS))
def test_the_example_of_a_verb_is_read_by_labctl(verb):
    recipe = recipe_of(compose(f"{HEAD}  - {GENERATE.EXAMPLES[verb]}\n"), {})
    (step,) = recipe.stages[0].steps
    assert step.verb == verb


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
    for page in PAGES:
        assert page in listed or folders & set(page.parents), page
