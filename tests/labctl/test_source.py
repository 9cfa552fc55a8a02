import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.errors import FindingsError, Severity
from labctl.fields import Strict, Temperature
from labctl.source import MAX_BYTES, Mark, collect, compose, read, validate

WORDS = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=8)


class Limits(Strict):
    high: Temperature
    low: Temperature = 0.0


class Oven(Strict):
    name: str
    limits: Limits
    marks: tuple[Temperature, ...] = ()


def refused(text):
    with pytest.raises(FindingsError) as caught:
        compose(text, "f.yaml")
    return caught.value.findings[0]


def test_the_tree_is_the_text_that_was_written():
    tree = compose("a: on\nb: 1:30\nc: [1e-1, ~, 010]\nd: {yes: no}\n").tree
    assert tree == {"a": "on", "b": "1:30", "c": ["1e-1", "~", "010"], "d": {"yes": "no"}}


def test_values_and_keys_have_places_counted_from_one():
    document = compose("a: 1\nb:\n  c: [x, y]\n", "f.yaml")
    assert document.mark(("a",)) == Mark("f.yaml", 1, 4)
    assert document.key_mark(("b", "c")) == Mark("f.yaml", 3, 3)
    assert document.mark(("b", "c", 1)) == Mark("f.yaml", 3, 10)


def test_what_is_not_there_is_placed_at_what_contains_it():
    document = compose("a: {b: 1}\n", "f.yaml")
    assert document.mark(("a", "missing", 3)) == document.mark(("a",))
    assert document.at(("a", "missing")) == ""
    assert Mark("f.yaml", 1, 1) == compose("x: 1", "f.yaml").mark(("nowhere",))


def test_aliases_are_followed():
    assert compose("a: &x {k: v}\nb: *x\n").tree == {"a": {"k": "v"}, "b": {"k": "v"}}


@pytest.mark.parametrize(
    ("text", "rule", "line", "column"),
    [
        ("", "file.empty", 1, 1),
        ("# nothing but a remark\n", "file.empty", 1, 1),
        ("a: [1, 2\nb: 3\n", "file.not_yaml", 2, 2),
        ("a: 1\na: 2\n", "schema.duplicate_key", 2, 1),
        ("a: {b: 1, c: 2, b: 3}\n", "schema.duplicate_key", 1, 17),
        ("? [1, 2]\n: 3\n", "schema.key", 1, 3),
        ("a: *nowhere\n", "file.not_yaml", 1, 4),
        ("a: b: c\n", "file.not_yaml", 1, 5),
    ],
)
def test_a_text_that_is_no_document_is_refused_where_it_fails(text, rule, line, column):
    finding = refused(text)
    assert (finding.rule, finding.line, finding.column) == (rule, line, column)


def test_a_duplicate_key_tells_where_the_first_is():
    assert "the first is in line 2" in refused("x: 0\na: 1\nb: 2\na: 3\n").message


def test_an_alias_bomb_is_refused_quickly():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    refers = ", ".join(["*a{n}"] * 10)
    lines += [f"a{n}: &a{n} [{refers.format(n=n - 1)}]" for n in range(1, 10)]
    assert refused("\n".join(lines)).rule == "file.too_many_parts"


@pytest.mark.parametrize("text", ["[" * 10_000, "{a: " * 5_000, "- " * 5_000 + "x"])
def test_a_pit_of_brackets_is_refused_without_falling_in(text):
    assert refused(text).rule in {"file.too_deep", "file.not_yaml"}


def test_an_alias_of_itself_is_refused():
    with pytest.raises(FindingsError):
        compose("a: &a [*a]\n")


def test_files_that_are_none_are_refused(tmp_path):
    big, binary = tmp_path / "big.yaml", tmp_path / "binary.yaml"
    big.write_bytes(b"a: 1\n" * (MAX_BYTES // 5 + 1))
    binary.write_bytes(b"\x89PNG\r\n\x1a\n\x00\xff")
    expected = {
        tmp_path / "none.yaml": "file.unreadable",
        tmp_path: "file.unreadable",
        big: "file.too_large",
        binary: "file.not_text",
    }
    for path, rule in expected.items():
        with pytest.raises(FindingsError) as caught:
            read(path)
        assert caught.value.findings[0].rule == rule
        assert caught.value.findings[0].file == str(path)


def test_types_are_given_by_the_model():
    oven = validate(
        Oven, compose("name: 12\nlimits: {high: 300 K}\n".replace("300 K", "300 C")), ()
    )
    assert oven == Oven(name="12", limits=Limits(high=300.0))


@pytest.mark.parametrize(
    ("text", "rule", "line", "column", "says"),
    [
        ("name: x\nlimits: {high: 300}\n", "units.bare_number", 2, 16, "limits.high: '300' has"),
        ("name: x\nlimits: {hihg: 3 C, high: 3 C}\n", "schema.unknown_key", 2, 10, "'high'"),
        ("nam: x\nname: x\nlimits: {high: 3 C}\n", "schema.unknown_key", 1, 1, "'name'"),
        ("name: x\n", "schema.missing_key", 1, 1, "needs the key 'limits'"),
        ("name: x\nlimits: {low: 3 C}\n", "schema.missing_key", 2, 1, "'high'"),
        ("name: [x]\nlimits: {high: 3 C}\n", "schema.value", 1, 7, "name: ['x'] does not fit"),
        ("name: x\nlimits: {high: 3 C}\nmarks: [1 C, 2]\n", "units.bare_number", 3, 14, "marks"),
    ],
)
def test_what_does_not_fit_a_model_is_told_with_its_place(text, rule, line, column, says):
    with pytest.raises(FindingsError) as caught:
        validate(Oven, compose(text, "f.yaml"), ())
    (finding,) = caught.value.findings
    assert (finding.rule, finding.line, finding.column) == (rule, line, column)
    assert says in finding.message
    assert "pydantic" not in finding.message
    assert "[type=" not in finding.message


def test_a_finding_reads_like_a_compilers():
    finding = Mark("f.yaml", 3, 7).finding("units.value", "is no volume", Severity.WARNING)
    assert str(finding) == "f.yaml:3:7: warning: is no volume [units.value]"


def test_what_several_attempts_find_is_told_together():
    def fails(rule):
        raise FindingsError([Mark("f").finding(rule, "x")])

    with pytest.raises(FindingsError) as caught:
        collect([lambda: fails("a.a"), lambda: None, lambda: fails("b.b")])
    assert [finding.rule for finding in caught.value.findings] == ["a.a", "b.b"]


@given(st.text(max_size=200))
def test_any_text_gives_a_document_or_findings(text):
    found, document = (), None
    try:
        document = compose(text, "any")
    except FindingsError as error:
        found = error.findings
    assert found or document.mark(()).line >= 1


@given(st.dictionaries(WORDS, st.lists(WORDS, max_size=4), min_size=1, max_size=6))
def test_every_part_is_found_at_its_place(tree):
    lines = [f"k{key}: [{', '.join('v' + word for word in words)}]" for key, words in tree.items()]
    text = "\n".join(lines)
    document = compose(text)
    for key, words in tree.items():
        assert document.key_mark((f"k{key}",)).line == list(tree).index(key) + 1
        for place in ((f"k{key}", n) for n in range(len(words))):
            mark, node = document.mark(place), document.at(place)
            assert document.has(place)
            assert text.splitlines()[mark.line - 1][mark.column - 1 :].startswith(node)
