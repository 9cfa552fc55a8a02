"""`blocks` and `use`: what is grafted in, what it is called, and what is refused, and where."""

import pytest

from labctl.errors import FindingsError
from labctl.recipe.load import load_recipe, recipe_of
from labctl.recipe.steps.base import flattened
from labctl.source import compose

TEXT = """\
labctl: recipe/1
name: blocks
needs: {vessel: 50 mL, max_T: 325 C}
assumed: {ramp: {value: 7 K/min, why: no rates given}}
reagents:
  SQ: {is: squalane}
  ZN: {is: zinc oleate in ODE, concentration: 0.50 mol/L}
track: {peak: {from: absorbance, every: 10 s}}
blocks:
  tight:
    parameters:
      cycles: {default: 3}
      gas: {one_of: [still, flowing], default: still}
      wait: {default: 1 min, range: 10 s .. 1 h}
    steps:
    - stir: 600 rpm
    - inject: {id: zn, reagent: ZN, amount: 0.1 mmol, over: 2 min}
    - hold: {for: $wait, since: zn.end}
    - when: {choice: gas, is: flowing, steps: [backfill: {cycles: $cycles}]}
  warm:
    parameters: {rate: {default: 5 K/min}}
    steps:
    - use: {id: first, block: tight, with: {gas: flowing, cycles: 2}}
    - ramp: {to: 100 C, rate: $rate}
stages:
  load:
  - charge: {reagent: SQ, volume: 10 mL, by: hand}
  - use: {block: tight}
  - hold: {for: 5 min, since: load.2.zn.end}
  - repeat: {until: flask.T > 20 C, at_most: 2, steps: [
      use: {id: w, block: warm, with: {rate: $ramp}}]}
"""
FILE = """\
labctl: block/1
parameters: {cycles: {one_of: [1, 2]}}
steps:
- backfill: {cycles: $cycles}
"""


def load(text, **settings):
    return recipe_of(compose(text, "r.yaml"), settings)


def ids(recipe):
    return [step.id for stage in recipe.stages for step in flattened(stage.steps)]


def step(recipe, name):
    return next(s for stage in recipe.stages for s in flattened(stage.steps) if s.id == name)


def refused(text):
    with pytest.raises(FindingsError) as caught:
        load(text)
    return caught.value.findings


def place(text, needle):
    before = text[: text.index(needle)]
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def changed(old, new, text=TEXT):
    assert text.count(old) == 1, old
    return text.replace(old, new)


@pytest.fixture
def beside(tmp_path):
    """`beside(use, file)`: a recipe that uses a file beside it; the recipe's path."""

    def write(use, file=FILE, name="blocks/fill.yaml"):
        path = tmp_path / "r" / "r.yaml"
        (path.parent / name).parent.mkdir(parents=True, exist_ok=True)
        (path.parent / name).write_text(file, encoding="utf-8")
        path.write_text(TEXT.replace("  - use: {block: tight}\n", f"  - {use}\n").replace(
            "load.2.zn.end", "load.1.end"), encoding="utf-8")  # fmt: skip
        return path

    return write


def only(path):
    with pytest.raises(FindingsError) as caught:
        load_recipe(path)
    (finding,) = caught.value.findings
    return finding


# -- what it becomes -------------------------------------------------------------------------------


def test_the_steps_of_a_block_stand_where_it_is_used_and_bear_the_uses_name():
    assert ids(load(TEXT)) == [
        "load.1",
        "load.2.1", "load.2.zn", "load.2.3",
        "load.3",
        "load.4", "w.first.1", "w.first.zn", "w.first.3", "w.first.4.1", "w.2",
    ]  # fmt: skip


def test_no_step_of_another_kind_is_left():
    assert {s.verb for st in load(TEXT).stages for s in flattened(st.steps)} <= {
        "charge", "stir", "inject", "hold", "repeat", "backfill", "ramp",
    }  # fmt: skip


def test_an_argument_comes_from_where_the_block_is_used_and_a_default_from_the_block():
    recipe = load(TEXT)
    assert step(recipe, "w.first.4.1").cycles == 2
    assert step(recipe, "w.2").rate == 7.0
    assert step(recipe, "load.2.3").for_ == 60.0
    assert step(load(TEXT, ramp="9 K/min"), "w.2").rate == 9.0


def test_a_block_counts_from_its_own_step_also_when_it_is_used_twice():
    recipe = load(TEXT)
    assert step(recipe, "load.2.3").since == "load.2.zn.end"
    assert step(recipe, "w.first.3").since == "w.first.zn.end"


def test_a_condition_and_an_argument_are_no_names_of_the_block():
    text = changed("since: zn.end", "since: flask.T >= 30 C")
    assert step(load(text), "load.2.3").since == "flask.T >= 30 C"
    text = changed("wait: {default: 1 min, range: 10 s .. 1 h}",
                   "wait: {default: 1 min}\n      when: {default: load.1.end}")  # fmt: skip
    text = changed("since: zn.end", "since: $when", text)
    assert step(load(text), "load.2.3").since == "load.1.end"


def test_a_baseline_of_a_block_is_its_own():
    text = changed(
        "    - stir: 600 rpm\n",
        "    - baseline: {of: [peak], as: before, for: 1 min}\n"
        "    - wait_until: {saturated: peak, since: before, timeout: 9 min}\n",
    )
    recipe = load(text)
    assert step(recipe, "load.2.1").as_ == "load.2.before"
    assert step(recipe, "w.first.2").since == "w.first.before"


def test_a_when_in_a_block_goes_by_its_parameter():
    assert "load.2.4.1" not in ids(load(TEXT))
    assert "load.2.4.1" in ids(
        load(TEXT.replace("block: tight}", "block: tight, with: {gas: flowing}}"))
    )


def test_the_same_recipe_written_out_has_the_same_steps():
    used = load(TEXT).stages[0].steps[1:4]
    out = TEXT.replace("  - use: {block: tight}\n", """\
  - stir: 600 rpm
  - inject: {id: zn, reagent: ZN, amount: 0.1 mmol, over: 2 min}
  - hold: {for: 1 min, since: zn.end}
""").replace("load.2.zn.end", "zn.end")  # fmt: skip
    said = [(s.verb, s.model_dump(exclude={"id", "since"})) for s in load(out).stages[0].steps[1:4]]
    assert [(s.verb, s.model_dump(exclude={"id", "since"})) for s in used] == said


# -- files beside the recipe -----------------------------------------------------------------------


def test_a_file_beside_the_recipe_is_one_block(beside):
    recipe = load_recipe(beside("use: {id: gas, recipe: blocks/fill.yaml, with: {cycles: 2}}"))
    assert step(recipe, "gas.1").cycles == 2
    assert recipe.files == {"blocks/fill.yaml": FILE}
    assert step(recipe, "gas.1").mark.file.endswith("r/blocks/fill.yaml")


def test_a_file_may_use_another_named_from_the_recipes_directory(beside, tmp_path):
    path = beside("use: {id: gas, recipe: outer.yaml}")
    outer = "labctl: block/1\nsteps: [use: {recipe: blocks/fill.yaml, with: {cycles: 1}}]\n"
    path.with_name("outer.yaml").write_text(outer, encoding="utf-8")
    recipe = load_recipe(path)
    assert step(recipe, "gas.1.1").cycles == 1
    assert set(recipe.files) == {"outer.yaml", "blocks/fill.yaml"}


@pytest.mark.parametrize(
    "name", ["../out.yaml", "/etc/hosts", "blocks/../../out.yaml", "link.yaml"]
)
def test_no_file_outside_the_recipes_directory_is_read(beside, name):
    path = beside(f"use: {{recipe: {name}}}")
    (path.parents[1] / "out.yaml").write_text(FILE, encoding="utf-8")
    path.with_name("link.yaml").symlink_to(path.parents[1] / "out.yaml")
    assert only(path).rule == "file.outside"


@pytest.mark.parametrize(
    ("name", "hint"),
    [("blocks/fil.yaml", "; did you mean 'blocks/fill.yaml'?"), ('"a\\0b"', ""), ("x" * 5000, "")],
)
def test_a_file_that_is_not_there_is_refused_with_the_nearest(beside, name, hint):
    finding = only(beside(f"use: {{recipe: {name}}}"))
    assert finding.rule == "names.unknown_block"
    assert finding.message.endswith(hint)


@pytest.mark.parametrize(
    ("file", "rule"),
    [
        ("labctl: block/1\nsteps: [", "file.not_yaml"),
        ("- stir: 600 rpm\n", "schema.mapping"),
        ("labctl: recipe/1\nsteps: [stir: 600 rpm]\n", "schema.value"),
        ("labctl: block/1\n", "schema.missing_key"),
        ("labctl: block/1\nstep: []\nsteps: []\n", "schema.unknown_key"),
        ("labctl: block/1\nsteps: {stir: 600 rpm}\n", "schema.steps"),
        ("labctl: block/1\nparameters: {a: {defalt: 3}}\nsteps: []\n", "schema.unknown_key"),
        (
            "labctl: block/1\nparameters: {a: {default: 3, one_of: [1]}}\nsteps: []\n",
            "choices.default",
        ),
        ("labctl: block/1\nsteps: [stirr: 600 rpm]\n", "names.unknown_verb"),
        ("labctl: block/1\nsteps: [stir: 600 furlong]\n", "units.unknown_unit"),
        (
            "labctl: block/1\nsteps: [charge: {reagent: XX, volume: 1 mL}]\n",
            "names.unknown_reagent",
        ),
        ("labctl: block/1\nsteps: [ramp: {to: 60 C, rate: $ramp}]\n", "names.unknown_choice"),
        ("labctl: block/1\nsteps: [hold: {for: 1 min, since: load.1.end}]\n", "names.unknown_step"),
        ("labctl: block/1\nsteps: [use: {block: tight}]\n", "names.unknown_block"),
    ],
)
def test_what_is_wrong_in_a_file_is_told_there_and_from_where_it_is_used(beside, file, rule):
    path = beside("use: {recipe: blocks/fill.yaml}", file)
    finding = only(path)
    assert finding.rule == rule
    assert finding.file == str(path.parent / "blocks/fill.yaml")
    assert finding.line >= 1
    assert f"used in {path}:" in finding.message


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "needle", "rule", "said"),
    [
        ("block: tight}", "block: tigth}", "tigth", "names.unknown_block", "'tight'"),
        ("cycles: 2}", "cycels: 2}", "cycels", "names.unknown_argument", "'cycles'"),
        ("cycles: 2}", "cycles: many}", "many", "choices.argument", "a number"),
        ("gas: flowing, c", "gas: flow, c", "flow,", "choices.argument", "still, flowing"),
        ("cycles: 2}", "wait: 2 h}", "2 h}", "choices.argument", "10 s .. 1 h"),
        ("{rate: $ramp}", "{rate: 3 K}", "3 K}", "choices.argument", "temperature rate"),
        ("{rate: $ramp}", "{rate: $rump}", "$rump", "names.unknown_choice", "'ramp'"),
        ("{rate: {default: 5 K/min}}", "{rate: {}}\n    about: x", "about", "schema.unknown_key",
         "in a block"),
        ("block: tight}", "block: tight, steps: []}", "steps: []}", "schema.unknown_key", "block"),
        ("block: tight}", "id: x}", "use: {id: x", "schema.one_block", "one of them"),
        ("block: tight}", "block: tight, recipe: x}", "use: {block: tight, r", "schema.one_block",
         "one of them"),
        ("block: tight}", "block: tight, wiht: {}}", "wiht", "schema.unknown_key", "'with'"),
    ],
)  # fmt: skip
def test_a_use_that_does_not_fit_is_refused_where_it_is_written(old, new, needle, rule, said):
    text = changed(old, new)
    (finding,) = refused(text)
    assert (finding.rule, (finding.line, finding.column)) == (rule, place(text, needle))
    assert said in finding.message


def test_what_is_needed_must_be_given():
    text = changed("{rate: {default: 5 K/min}}", "{rate: {one_of: [5 K/min, 7 K/min]}}")
    assert step(load(text), "w.2").rate == 7.0
    (finding,) = refused(changed(", with: {rate: $ramp}", "", text))
    assert finding.rule == "choices.argument"
    assert "'rate'" in finding.message


def test_what_is_wrong_in_a_block_is_told_for_every_use_with_the_way_to_it():
    text = changed("stir: 600 rpm", "stir: 600 C")
    found = refused(text)
    assert {(f.line, f.column) for f in found} == {place(text, "600 C")}
    ways = [f.message.partition("(used in ")[2] for f in found]
    outer, inner = place(text, "use: {block: tight}"), place(text, "use: {id: w")
    nested = place(text, "use: {id: first")
    assert ways == [
        "r.yaml:{}:{})".format(*outer),
        "r.yaml:{}:{}, used in r.yaml:{}:{})".format(*nested, *inner),
    ]


def test_a_block_knows_nothing_of_the_recipes_values():
    (one, two) = refused(changed("for: $wait", "for: $ramp"))
    assert one.rule == two.rule == "names.unknown_choice"
    assert "no parameter of the block" in one.message


def test_a_block_that_uses_itself_is_refused():
    found = refused(changed("block: tight, with: {gas", "block: warm, with: {gas"))
    assert [f.rule for f in found] == ["bounds.nested_use"]
    assert "warm uses itself: warm > warm" in found[0].message


def test_blocks_lie_eight_deep_at_most():
    def nested(depth):
        blocks = "".join(
            f"  b{n}: {{steps: [use: {{block: b{n + 1}}}]}}\n" for n in range(1, depth)
        )
        text = TEXT.replace("blocks:\n", f"blocks:\n{blocks}  b{depth}: {{steps: [stir: 9 rpm]}}\n")
        return text.replace("  - use: {block: tight}\n", "  - use: {id: d, block: b1}\n").replace(
            "load.2.zn.end", "load.1.end"
        )

    assert step(load(nested(8)), "d" + 7 * ".1" + ".1").speed == 9.0
    assert [f.rule for f in refused(nested(9))] == ["bounds.nested_use"]


def test_blocks_that_would_grow_without_bound_are_refused():
    doubling = "".join(
        f"  b{n}: {{steps: [{', '.join(12 * [f'use: {{block: b{n + 1}}}'])}]}}\n"
        for n in range(1, 7)
    )
    text = TEXT.replace("blocks:\n", f"blocks:\n{doubling}  b7: {{steps: [stir: 9 rpm]}}\n")
    (finding,) = refused(text.replace("block: tight}", "block: b1}"))
    assert finding.rule == "file.too_many_parts"
    assert "the blocks used" in finding.message, "before they are all copied"


def test_the_word_use_alone_changes_nothing():
    text = changed("name: blocks", "name: of use")
    assert ids(load(text)) == ids(load(TEXT))


@pytest.mark.parametrize(
    ("written", "rule"),
    [
        ("blocks: [tight]", "schema.mapping"),
        ("blocks: {unused: 3}", "schema.mapping"),
        ("blocks: {unused: {parameters: {}}}", "schema.missing_key"),
        ("blocks: {unused: {steps: [], step: []}}", "schema.unknown_key"),
    ],
)
def test_what_is_no_block_is_refused_also_where_nothing_uses_it(written, rule):
    text = TEXT[: TEXT.index("blocks:")] + f"{written}\nstages: {{load: [stir: 9 rpm]}}\n"
    assert [f.rule for f in refused(text)] == [rule]


def test_a_block_that_nothing_uses_is_no_mistake():
    text = TEXT[: TEXT.index("stages:")] + "stages: {load: [stir: 9 rpm]}\n"
    assert ids(load(text)) == ["load.1"]
