import datetime as dt
from pathlib import Path

import pytest

from labctl.errors import FindingsError
from labctl.rig.batch import DEFAULT_START, load_batch

SHIPPED = Path(__file__).parents[3] / "recipes/inp_zns_surface_initiated.batch.yaml"
TEXT = SHIPPED.read_text(encoding="utf-8")


def sheet(tmp_path, old="", new=""):
    assert old in TEXT
    path = tmp_path / "today.yaml"
    path.write_text(TEXT.replace(old, new, 1) if old else TEXT, encoding="utf-8")
    return path


def test_the_shipped_sheet_says_what_is_where():
    batch = load_batch(SHIPPED).model
    assert (batch.operator, batch.second, batch.vessel) == ("YK", "MT", "flask50")
    assert batch.loads["SQ"].by == "hand"
    assert batch.loads["NC"].concentration == pytest.approx(50e-6)
    assert (batch.loads["ZN"].pump, batch.loads["ZN"].drawn) == ("pump_1", 9.2)
    assert batch.loads["HF"].made == dt.date(2025, 11, 3)
    assert batch.box.O2 == 0.3


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2025-11-03 21:30", dt.datetime(2025, 11, 3, 21, 30)),
        ("2025-12-01", dt.datetime(2025, 12, 1)),
    ],
)
def test_the_date_may_have_a_time(tmp_path, written, moment):
    assert load_batch(sheet(tmp_path, "2025-11-03 09:00", written)).model.date == moment


def test_without_a_date_a_dry_run_starts_on_a_monday_morning(tmp_path):
    batch = load_batch(sheet(tmp_path, "date: 2025-11-03 09:00", "# ")).model
    assert batch.date == DEFAULT_START == dt.datetime(2025, 11, 3, 9, 0)
    assert batch.date.strftime("%a") == "Mon"


REFUSED = [
    ("batch.hand_or_pump", "lot: SQ-2217, by: hand", "lot: SQ-2217", "{lot: SQ-2217", "SQ"),
    ("batch.hand_or_pump", "pump: pump_1", "by: hand, pump: pump_1", "{lot: ZN", "ZN"),
    ("batch.nothing_drawn", "pump: pump_2, drawn: 1.0 mL", "pump: pump_2", "{lot: TOPS", "pump_2"),
    ("batch.one_person", "second: MT", "second: YK", "labctl:", "YK"),
    ("schema.date", "made: 2025-09-12", "made: last month", "last month", "write it like"),
    ("schema.date", "date: 2025-11-03 09:00", "date: today", "today ", "write it like"),
    ("schema.unknown_key", "sample: YK-231", "sampel: YK-231", "sampel", "did you mean 'sample'"),
    ("schema.missing_key", "operator: YK", "# ", "labctl:", "needs the key 'operator'"),
    ("schema.missing_key", "accept: {}", "accept: {a.b: {reason: r, by: MT}}", "a.b:", "'date'"),
    ("units.bare_number", "drawn: 9.2 mL", "drawn: 9.2", "9.2}", "has no unit"),
    ("units.dimension", "O2: 0.3 ppm", "O2: 0.3 %", "0.3 %", "a parts is needed"),
    ("schema.duplicate_key", "  S:  {", "  ZN: {", "ZN: {lot: TOPS", "given twice"),
]


@pytest.mark.parametrize(
    ("rule", "old", "new", "at", "says"),
    REFUSED,
    ids=[f"{r[0]}-{n}" for n, r in enumerate(REFUSED)],
)
def test_a_mistake_is_refused_where_it_stands(tmp_path, rule, old, new, at, says):
    path = sheet(tmp_path, old, new)
    with pytest.raises(FindingsError) as caught:
        load_batch(path)
    (finding, *_) = [found for found in caught.value.findings if found.rule == rule]
    text = path.read_text(encoding="utf-8")
    before = text[: text.index(at)]
    place = (str(path), before.count("\n") + 1, len(before) - before.rfind("\n"))
    assert (finding.file, finding.line, finding.column) == place, str(finding)
    assert says in finding.message


def test_a_list_is_no_sheet(tmp_path):
    path = tmp_path / "list.yaml"
    path.write_text("- a\n- b\n", encoding="utf-8")
    with pytest.raises(FindingsError) as caught:
        load_batch(path)
    assert caught.value.findings[0].rule == "schema.mapping"
