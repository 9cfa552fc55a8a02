"""`series`: which members there are, which values are refused, and how findings are joined."""

import pytest

from labctl.errors import Finding, FindingsError, Severity, UsageError
from labctl.recipe.load import opened, recipe_of
from labctl.recipe.series import Member, members_of, merged
from labctl.source import compose

TEXT = """\
labctl: recipe/1
name: series
needs: {vessel: 50 mL, max_T: 325 C}
choose:
  t:  {default: 30 s, range: 10 s .. 1 h}
  hf: {one_of: [none, treated], default: none}
  dose: {by: hf, none: 1 mL, treated: 2 mL}
series: {t: [30 s, 3 min]}
assumed: {ramp: {value: 10 K/min, why: no rates given}}
reagents: {SQ: {is: squalane}}
stages:
  only:
  - charge: {reagent: SQ, volume: $dose, by: hand}
  - hold: {for: $t}
"""


def with_series(written):
    return TEXT.replace("{t: [30 s, 3 min]}", written)


def labels(text, **given):
    return [member.label for member in opened(compose(text, "r.yaml")).members(given)]


def refused(written):
    text = with_series(written)
    with pytest.raises(FindingsError) as caught:
        recipe_of(compose(text, "r.yaml"), {})
    return caught.value.findings, text


# -- members ---------------------------------------------------------------------------------------


def test_each_value_is_a_member():
    assert labels(TEXT) == ["t = 30 s", "t = 3 min"]


def test_several_names_multiply_the_last_changing_first():
    assert labels(with_series("{hf: [none, treated], t: [30 s, 3 min]}")) == [
        "hf = none, t = 30 s",
        "hf = none, t = 3 min",
        "hf = treated, t = 30 s",
        "hf = treated, t = 3 min",
    ]


def test_an_assumed_value_may_be_varied_too():
    assert labels(with_series("{ramp: [5 K/min, 10 K/min]}")) == [
        "ramp = 5 K/min",
        "ramp = 10 K/min",
    ]


def test_what_is_set_goes_before_the_series_and_the_series_before_the_default():
    both = with_series("{hf: [none, treated], t: [30 s, 3 min]}")
    assert labels(both, hf="treated") == ["hf = treated, t = 30 s", "hf = treated, t = 3 min"]
    assert labels(both, hf="treated", t="45 s") == []
    source = opened(compose(TEXT, "r.yaml"))
    assert [source.recipe(dict(m.values)).settings["t"] for m in source.members({})] == [
        "30 s",
        "3 min",
    ]
    assert source.recipe({}).settings["t"] == "30 s"
    assert source.recipe({"t": "45 s"}).settings["t"] == "45 s"


def test_a_recipe_without_a_series_has_no_members():
    assert labels(TEXT.replace("series: {t: [30 s, 3 min]}\n", "")) == []


def test_tables_follow_the_member():
    source = opened(compose(with_series("{hf: [none, treated]}"), "r.yaml"))
    doses = [source.recipe(dict(m.values)).stages[0].steps[0].volume for m in source.members({})]
    assert doses == [1.0, 2.0]


def test_what_is_set_wrongly_is_refused_as_ever():
    with pytest.raises(UsageError):
        labels(TEXT, t="2 h")


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "rule", "said"),
    [
        ("{t: [30 s, 2 h]}", "choices.series", "10 s .. 1 h"),
        ("{t: [30 s, 3 K]}", "choices.series", "a time"),
        ("{hf: [none, some]}", "choices.series", "none, treated"),
        ("{t: [30 s, 30 s]}", "choices.series", "twice"),
        ("{dose: [1 mL, 2 mL]}", "choices.series", "follows from 'hf'"),
        ("{ramp: [5 K]}", "choices.series", "temperature rate"),
        ("{hff: [none]}", "names.unknown_choice", "'hf'"),
        ("{t: 30 s}", "schema.value", "a list"),
        ("{t: []}", "schema.value", "a list"),
        ("{t: [[30 s]]}", "schema.value", "plain values"),
        ("{}", "bounds.series", "1 to 100"),
        ("[30 s]", "schema.mapping", "mapping"),
    ],
)
def test_a_series_that_does_not_fit_is_refused_in_its_place(written, rule, said):
    findings, text = refused(written)
    assert {f.rule for f in findings} >= {rule}
    (finding,) = [f for f in findings if f.rule == rule][:1]
    assert said in finding.message
    assert text.splitlines()[finding.line - 1].startswith("series:")


def test_a_hundred_members_are_a_series_and_one_more_is_not():
    def row(count):
        return f"{{t: [{', '.join(f'{10 + n} s' for n in range(count))}]}}"

    assert len(labels(with_series(row(100)))) == 100
    findings, _ = refused(row(101))
    assert [f.rule for f in findings] == ["bounds.series"]
    assert "this one has 101" in findings[0].message


# -- findings of all members -----------------------------------------------------------------------


def finding(message, line=3, rule="a.b"):
    return Finding(rule, Severity.WARNING, "r.yaml", line, 1, message)


MEMBERS = members_of({"hf": ("none", "treated"), "t": ("1 min", "2 min")}, {})


def told(*per_member):
    return [f.message for f in merged(list(zip(MEMBERS, per_member, strict=True)))]


def test_what_all_have_alike_is_told_once_as_it_is():
    assert told(*4 * [[finding("hot")]]) == ["hot"]


def test_what_some_have_names_them_by_what_they_have_in_common():
    assert told([], [], [finding("hot")], [finding("hot")]) == ["hot (with hf = treated)"]
    assert told([finding("hot")], [], [], [finding("hot")]) == [
        "hot (with hf = none, t = 1 min; hf = treated, t = 2 min)"
    ]


def test_one_place_is_told_once_also_where_the_words_differ():
    assert told(
        [finding("by 5 K")], [finding("by 6 K")], [finding("by 5 K")], [finding("by 6 K")]
    ) == ["by 5 K (with t = 1 min, similarly with t = 2 min)"]


def test_two_findings_of_one_place_stay_two():
    twice = [finding("of SE"), finding("of HF")]
    assert told(*4 * [twice]) == ["of SE", "of HF"]
    assert told(*4 * [2 * [finding("of SE")]]) == ["of SE", "of SE"]


def test_many_members_are_counted():
    found = [
        (Member(n, 9, {"t": f"{n} s"}), [finding("hot")] if n < 6 else []) for n in range(1, 10)
    ]
    assert [f.message for f in merged(found)] == ["hot (with t = 1 s; t = 2 s; t = 3 s; 2 more)"]
