from pathlib import Path

import pytest

from labctl.errors import FindingsError, UsageError
from labctl.recipe.load import load_recipe, recipe_of
from labctl.recipe.steps.base import flattened
from labctl.source import compose

SHIPPED = Path(__file__).parents[3] / "recipes/inp_zns_surface_initiated.yaml"
TEXT = SHIPPED.read_text(encoding="utf-8")

FEEDS = """\
labctl: recipe/1
name: portion-wise feeds
needs: {vessel: 100 mL, max_T: 265 C}
choose:
  seed:   {default: 470 nm, range: 455 nm .. 490 nm}
  target: {default: 580 nm, range: 540 nm .. 600 nm}
assumed:
  feed_T: {value: 260 C, why: feed temperature not given}
reagents:
  IN: {is: indium oleate in ODE, concentration: 0.50 mol/L}
  P:  {is: P(TMS)3 in TOP, concentration: 0.775 mol/L}
stages:
  seed:
  - inject: {id: p0, reagent: P, amount: 1.0 mmol, by: hand, within: 15 s, start: button}
  - wait_until: {reaches: peak >= $seed, timeout: 60 min, on_timeout: park}
  - ask: {id: cold_seed, for: 1S of aliquot seed, unit: nm, range: 440 nm .. 500 nm, anchors: peak}
  - if:
      when: flask.T > 200 C
      then: [hold: 5 min]
      otherwise: [ramp: {to: $feed_T}, hold: {for: 5 min}]
  feed:
  - repeat:
      until: peak >= $target
      at_most: 12
      last: {trim_to: $target}
      steps:
      - inject: {id: portion, over: 4 min, keep_above: 252 C,
                 together: [{reagent: IN, amount: 0.3 mmol}, {reagent: P, volume: 1 mL}]}
      - wait_until: {steady: peak, timeout: 10 min, on_timeout: continue}
  - log: {fields: {cold_1S: nm, hwhm: nm}, makes: entry in stock book}
"""


def load(text, **settings):
    return recipe_of(compose(text, "r.yaml"), settings)


def broken(old, new, text=TEXT):
    assert text.count(old) >= 1, old
    return text.replace(old, new, 1)


def findings(text):
    with pytest.raises(FindingsError) as caught:
        load(text)
    return caught.value.findings


def only(text):
    (finding,) = findings(text)
    return finding


def place(text, needle):
    """The line and column, from 1, at which a text begins; it must be there once."""
    assert text.count(needle) == 1, needle
    before = text[: text.index(needle)]
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def step(recipe, name):
    return next(s for stage in recipe.all_stages for s in flattened(stage.steps) if s.id == name)


# -- what is read ----------------------------------------------------------------------------------


def test_the_shipped_recipe_has_the_papers_stages_in_the_papers_order():
    recipe = load_recipe(SHIPPED)
    names = ["load", "degas", "stage1", "hf", "stage2", "stage3", "finally"]
    assert [stage.name for stage in recipe.all_stages] == names
    doses = [s.reagent for st in recipe.stages for s in st.steps if getattr(s, "reagent", "")]
    assert doses == ["SQ", "NC", "ZN", "HF", "S", "ZN"]


@pytest.mark.parametrize(
    ("layers", "sulfide_mmol", "hold_s"), [("1", 0.16, 600), ("2", 0.40, 1200), ("4", 1.00, 1800)]
)
def test_a_choice_carries_its_tables_along(layers, sulfide_mmol, hold_s):
    recipe = load_recipe(SHIPPED, {"layers": layers})
    assert step(recipe, "s").amount == pytest.approx(sulfide_mmol)
    assert step(recipe, "stage3.4").for_ == hold_s
    assert recipe.settings["layers"] == layers


def test_defaults_and_assumed_values_hold_unless_set():
    recipe = load_recipe(SHIPPED)
    assert recipe.settings["layers"] == "2"
    assert step(recipe, "zn2").at == 250.0
    assert step(load_recipe(SHIPPED, {"add_T": "230 C"}), "zn2").at == 230.0


def test_an_assumed_value_that_was_set_keeps_its_reason():
    recipe = load_recipe(SHIPPED, {"hf_vac": "45 min"})
    assert recipe.settings["hf_vac"] == "45 min"
    assert recipe.head.assumed["hf_vac"].why == "as in the Raman procedure"


def test_steps_without_an_id_are_numbered_within_their_stage():
    stage = load_recipe(SHIPPED).stages[2]
    assert [s.id for s in stage.steps] == ["stage1.1", "zn1", "stage1.3", "stage1.4"]


def test_a_bare_value_fills_the_shorthand_field():
    recipe = load(FEEDS)
    assert step(recipe, "seed.4").then[0].for_ == 300.0
    assert step(load_recipe(SHIPPED), "load.3").speed == 600.0


def test_steps_inside_others_are_typed_named_and_placed():
    recipe = load(FEEDS)
    portion = step(recipe, "portion")
    assert [part.reagent for part in portion.parts()] == ["IN", "P"]
    assert (portion.mark.line, portion.mark.column) == place(FEEDS, "inject: {id: portion")
    names = [s.id for s in flattened(recipe.stages[1].steps)]
    assert names == ["feed.1", "portion", "feed.1.2", "feed.2"]


def test_the_same_recipe_is_read_from_any_spelling_of_its_units():
    spelled = TEXT.replace("50 uL", "50 \u00b5L").replace("120 C", "120 \u00b0C")
    spelled = spelled.replace("200 C", "200degC").replace("10 K/min", "10 C/min")
    assert load(spelled).stages == load(TEXT).stages


def test_scalars_are_never_guessed():
    recipe = load(broken("id: zn1,", "id: on,").replace("zn1.end", "on.end"))
    assert step(recipe, "on").reagent == "ZN"


def test_conditions_may_anchor_a_hold():
    assert step(load_recipe(SHIPPED), "stage3.4").since == "flask.T >= 318 C"


# -- choices ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("layers", "3", "it is one of 1, 2, 4"),
        ("layer", "2", "did you mean 'layers'"),
        ("s_dose", "0.3 mmol", "follows from 'layers'"),
        ("ramp", "10 mL", "a temperature rate is needed"),
        ("ramp", "10", "has no unit"),
    ],
)
def test_what_cannot_be_set_is_refused(name, value, says):
    with pytest.raises(UsageError, match=says):
        load_recipe(SHIPPED, {name: value})


@pytest.mark.parametrize("value", ["454 nm", "491 nm"])
def test_a_range_refuses_what_lies_outside(value):
    with pytest.raises(UsageError, match=r"must lie in 455 nm \.\. 490 nm"):
        load(FEEDS, seed=value)


@pytest.mark.parametrize("value", ["455 nm", "490 nm"])
def test_a_range_takes_its_ends(value):
    assert step(load(FEEDS, seed=value), "seed.2").reaches == f"peak >= {value}"


# -- what is refused, with its place ---------------------------------------------------------------

REFUSED = [
    # rule, text to replace, its replacement, where the finding points, what it says
    ("units.bare_number", "over: 3 min", "over: 3", "3, keep_above: 180", "has no unit"),
    ("units.dimension", "to: 200 C", "to: 200 mL", "200 mL", "a temperature is needed"),
    ("units.dimension", "within: 3 K, over", "within: 3 C, over", "3 C, over", "written in K"),
    ("units.unknown_unit", "1.5 mmol", "1.5 mmoll", "1.5 mmoll", "did you mean 'mmol'"),
    ("units.value", "to: 200 C", "to: hot", "hot, rate", "is no temperature"),
    ("schema.unknown_key", "within: 3 K, settle:", "within: 3 K, setle:", "setle:",
     "did you mean 'settle'"),
    ("schema.missing_key", "solvent: toluene, ", "", "strip:", "needs the key 'solvent'"),
    ("schema.value", "by: [jack, fan]", "by: [jack, water]", "water]", "'water' does not fit"),
    ("schema.name", "label: final", "label: 7final", "7final", "is no name"),
    ("names.unknown_verb", "- stir: 600 rpm", "- stirr: 600 rpm", "stirr:", "did you mean 'stir'"),
    ("names.unknown_reagent", "id: zn1, reagent: ZN", "id: zn1, reagent: Zn", "Zn, amount: 1.5",
     "did you mean 'ZN'"),
    ("names.unknown_reagent", "{reagents: [ZN, S]", "{reagents: [ZN, SS]", "SS]", "'SS' is not"),
    ("names.unknown_reagent", "S: [toluene], HF", "Q: [toluene], HF", "[toluene], HF",
     "'Q' is not"),
    ("names.unknown_substance", "is: squalane", "is: squalene", "squalene",
     "did you mean 'squalane'"),
    ("names.unknown_choice", "amount: $s_dose", "amount: $sdose", "$sdose",
     "did you mean 's_dose'"),
    ("names.unknown_choice", "hold320: {by: layers,", "hold320: {by: layer,", "hold320:",
     "not chosen"),
    ("names.duplicate_id", "{id: zn2,", "{id: zn1,",
     "inject: {id: zn1, reagent: ZN, amount: 2.5", "'zn1'"),
    ("names.unknown_step", "since: zn1.end", "since: zn0.end", "hold: {for: 10 min, since: zn0",
     "did you mean 'zn1'"),
    ("names.unknown_baseline", "since: before_s", "since: before", "wait_until:",
     "did you mean 'before_s'"),
    ("names.unknown_stage", "stage3: 120 C}", "stage4: 120 C}", "stage4:", "did you mean"),
    ("bounds.no_limit", "timeout: 90 min}", "T_0: 90 min}", "degas: {at", "nothing may wait"),
    ("bounds.no_limit", "over: 60 s}", "keep_above: 100 C}", "{id: s,", "needs `over`"),
    ("dose.one_measure", "volume: 10 mL", "volume: 10 mL, amount: 1 mmol", "{reagent: SQ",
     "not both"),
    ("dose.one_measure", "reagent: S, amount: $s_dose", "reagent: S", "{id: s,", "needs `amount`"),
    ("questions.default_proceeds", "default: park", "default: accept", "{ask: 1S", "proceeds"),
    ("questions.default", "default: park", "default: freeze", "{ask: 1S", "not among the choices"),
    ("questions.default_proceeds", "accept, park], default: park", "retry, park], default: retry",
     "{ask: 1S", "proceeds"),
    ("questions.choice", "accept, park]", "acept, park]", "[extend 15 min",
     "did you mean 'accept'"),
    ("questions.choice", "[extend 15 min, accept, park]", "{gone: go on, park: park, still: skip}",
     "{gone: go", "or has its own name"),
    ("units.unknown_unit", "extend 15 min", "extend 15 mins", "[extend 15", "mins"),
    ("schema.one_goal", "{saturated: peak, also_flat: pl", "{also_flat: pl", "{also_flat",
     "needs one of"),
    ("schema.missing_key", "- backfill: {cycles: 3}", "- backfill: {}", "{}", "`cycles`"),
    ("schema.step", "- stir: 600 rpm", "- stir", "stir\n", "- verb: value"),
    ("schema.step", "- backfill: {cycles: 3}", "- backfill: 3", "backfill: 3", "{key: value}"),
    ("choices.default", "default: 2}", "default: 3}", "3}\n  s_dose", "one of 1, 2, 4"),
    ("choices.no_row", ", 2: 0.40 mmol", "", "s_dose:", "no row for layers = 2"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "old", "new", "at", "says"),
    REFUSED,
    ids=[f"{r[0]}-{n}" for n, r in enumerate(REFUSED)],
)
def test_a_mistake_is_refused_where_it_stands(rule, old, new, at, says):
    text = broken(old, new)
    found = [finding for finding in findings(text) if finding.rule == rule]
    assert found, [str(finding) for finding in findings(text)]
    line, column = place(text, at)
    assert (found[0].file, found[0].line, found[0].column) == ("r.yaml", line, column)
    assert says in found[0].message


def test_a_position_is_exact_to_the_column():
    text = broken("to: 200 C", "to: 200 mL")
    finding = only(text)
    assert (finding.line, finding.column) == place(text, "200 mL")


def test_an_unknown_key_is_pointed_at_itself_and_not_at_its_mapping():
    text = broken("{to: 320 C, rate", "{to: 320 C, rat")
    finding = only(text)
    assert (finding.line, finding.column) == place(text, "rat: $ramp")
    assert "did you mean 'rate'" in finding.message


def test_a_duplicate_key_names_the_line_of_the_first():
    text = TEXT + "name: twice\n"
    finding = only(text)
    assert finding.rule == "schema.duplicate_key"
    assert (finding.line, finding.column) == (text.count("\n"), 1)
    assert "the first is in line 2" in finding.message


def test_all_mistakes_of_a_file_are_told_at_once():
    text = broken("over: 3 min", "over: 3", broken("- stir: 600 rpm", "- stirr: 600 rpm"))
    text = broken("max_T: 325 C", "max_T: 325", text)
    rules = sorted(finding.rule for finding in findings(text))
    assert rules == ["names.unknown_verb", "units.bare_number", "units.bare_number"]


def test_a_repeat_without_a_cap_is_refused():
    finding = only(broken("      at_most: 12\n", "", FEEDS))
    assert finding.rule == "bounds.no_limit"
    assert "'at_most'" in finding.message


def test_a_mistake_deep_inside_a_repeat_is_found():
    text = broken("volume: 1 mL", "volume: 1 ml/min", FEEDS)
    finding = only(text)
    assert finding.rule == "units.dimension"
    assert (finding.line, finding.column) == place(text, "1 ml/min")


def test_a_step_may_only_look_back():
    text = broken("since: zn1.end", "since: zn2.end")
    assert only(text).rule == "names.unknown_step"


WHEN = FEEDS.replace(
    "choose:\n", "choose:\n  hf: {one_of: [none, light, treated], default: none}\n"
).replace(
    "  feed:\n",
    "  feed:\n"
    "  - when: {choice: hf, is: [light, treated], steps: [{stir: 300 rpm}, {hold: 5 min}]}\n",
)


@pytest.mark.parametrize(
    ("hf", "verbs"),
    [("none", ["repeat", "log"]), ("treated", ["stir", "hold", "repeat", "log"])],
)
def test_a_when_keeps_or_drops_its_steps_before_anything_is_planned(hf, verbs):
    feed = load(WHEN, hf=hf).stages[1]
    assert [step.verb for step in feed.steps] == verbs
    ids = [step.id for step in flattened(feed.steps)]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("choice: hf", "choice: hq", "names.unknown_choice"),
        ("is: [light, treated]", "is: teated", "choices.no_row"),
        ("choice: hf", "choice: target", "choices.no_row"),
        ("stir: 300 rpm", "stir: 300", "units.bare_number"),
    ],
)
def test_a_when_that_can_never_be_meant_is_refused_where_it_stands(old, new, rule):
    (finding,) = findings(broken(old, new, WHEN))
    assert finding.rule == rule
    assert finding.line == WHEN[: WHEN.index("- when")].count("\n") + 1


def test_a_solid_is_charged_by_amount_and_never_by_volume():
    text = FEEDS.replace("  P:  {is", "  SE: {is: selenium}\n  P:  {is")
    by_amount = "  feed:\n  - charge: {reagent: SE, amount: 1 mmol, by: hand}\n"
    solid = text.replace("  feed:\n", by_amount)
    assert load(solid).stages[1].steps[0].verb == "charge"
    (finding,) = findings(broken("SE, amount: 1 mmol", "SE, volume: 1 mL", solid))
    assert finding.rule == "dose.solid"
