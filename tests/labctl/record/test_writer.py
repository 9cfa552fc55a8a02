"""What is written comes back, in virtual and in real time."""

import asyncio
import datetime as dt
import sqlite3
from array import array

import pytest

from labctl.errors import RecordError
from labctl.readings import Channel, Event, Kind, Quality, Reading, Spectrum
from labctl.record import Assumed, DoseRow, InputRow, Lot, Record, RunMeta, open_run, summary

S = 1_000_000_000


def meta(**changes):
    plain = {
        "run_id": "20251103-090000-inp-ab12",
        "recipe_name": "InP/ZnS",
        "recipe_path": "recipes/inp.yaml",
        "recipe_text": "labctl: recipe/1\n",
        "seed": 7,
        "simulated": True,
        "started_local": "2025-11-03T09:00:00",
        "versions": {"labctl": "0.1.0"},
        "choices": {"layers": 2},
        "assumed": (Assumed("stir", "600 rpm", "the paper is silent"),),
        "lots": (Lot("ZN", "zinc oleate", lot="A1", concentration_mol_l=0.4),),
    }
    return RunMeta(**plain | changes)


@pytest.fixture(params=[False, True], ids=["virtual", "real"])
def record(request, tmp_path):
    record = Record.create(tmp_path / "run", meta(), durable=request.param)
    yield record
    record._connection.close()
    record._held()


def closed(record):
    record.close()
    return open_run(record.path)


def test_the_run_itself_comes_back(record):
    record.state("running")
    record.finish(9 * S, "complete", "complete", product={"layers": 2.1, "qy": 0.97}, wall_s=3.5)
    with closed(record) as run:
        row = run.meta
        assert (row.id, row.seed, row.simulated) == ("20251103-090000-inp-ab12", 7, True)
        assert (row.state, row.outcome, row.end_ns) == ("complete", "complete", 9 * S)
        assert row.product == {"layers": 2.1, "qy": 0.97}
        assert row.choices == {"layers": 2}
        # sha256sum of "labctl: recipe/1\n"
        assert row.recipe_sha256 == (
            "5a2cb5c78a226c97b6f9679e48c13498f1100d1b5d566915eba77e7ad5c04680"
        )
        assert run.assumed == [Assumed("stir", "600 rpm", "the paper is silent")]
        assert run.lots[0].concentration_mol_l == 0.4
        assert run.anchors[0].local == "2025-11-03T09:00:00"


def test_the_files_a_recipe_uses_come_back_and_its_hash_covers_them(tmp_path):
    def hashed(name, files):
        record = Record.create(tmp_path / name, meta(files=files), durable=False)
        with closed(record) as run:
            assert run.files == files
            return run.meta.recipe_sha256

    plain = hashed("none", {})
    assert plain == meta().row().recipe_sha256
    one = hashed("one", {"blocks/a.yaml": "labctl: block/1\n"})
    other = hashed("other", {"blocks/a.yaml": "labctl: block/1 \n"})
    moved = hashed("moved", {"blocks/b.yaml": "labctl: block/1\n"})
    assert len({plain, one, other, moved}) == 4


def test_the_member_of_a_series_comes_back_and_the_digest_is_that_of_a_single_run(tmp_path):
    member = {"series": "s", "member": 2, "of": 6, "values": {"t": "1 min"}}
    digests = []
    for name, of in (("alone", {}), ("member", member)):
        record = Record.create(tmp_path / name, meta(member=of), durable=False)
        with closed(record) as run:
            assert run.member == of
            assert summary(run).get("member", {}) == of
            digests.append(run.digest())
    assert digests[0] == digests[1]


def test_a_membership_that_cannot_be_read_is_said(tmp_path):
    record = Record.create(tmp_path / "run", meta(), durable=False)
    record.artefact("series.json", "{")
    with closed(record) as run, pytest.raises(RecordError, match=r"series\.json"):
        run.member  # noqa: B018 - reading it is the test


def test_readings_come_back_by_channel_and_bad_ones_as_gaps(record):
    record.channels([Channel("flask.T", "temperature", 0, 350), Channel("flask.P", "pressure")])
    rows = [(250.5, Quality.GOOD), (251.5, Quality.UNCERTAIN), (999.0, Quality.BAD), (None, 2)]
    for i, (value, quality) in enumerate(rows):
        record.append(Reading("flask.T", value, Quality(quality), i * S // 2))
        record.append(Reading("flask.P", 1013.25, Quality.GOOD, i * S // 2))
    with closed(record) as run:
        assert run.series("flask.T") == ([0.0, 0.5, 1.0, 1.5], [250.5, 251.5, None, None])
        assert run.series("flask.P")[1] == [1013.25] * 4
        channel = run.channels["flask.T"]
        assert (channel.unit, channel.low, channel.high) == ("°C", 0.0, 350.0)
        assert channel.kind == Kind.MEASURED


def test_a_reading_of_an_undeclared_channel_is_refused_by_name(record):
    with pytest.raises(RecordError, match=r"'ghost\.T'.*no channel"):
        record.append(Reading("ghost.T", 1.0, Quality.GOOD, 0))


def test_more_readings_than_a_batch_all_arrive_in_order(record):
    record.channels([Channel("T", "temperature")])
    for i in range(10_001):
        record.append(Reading("T", float(i), Quality.GOOD, i))
    with closed(record) as run:
        assert run.series("T")[1] == [float(i) for i in range(10_001)]


@pytest.mark.parametrize("top", [65_535, 65_536, 2**24, 2**31], ids=str)
def test_counts_come_back_exactly_whatever_their_size(record, top):
    nm = array("d", [400.0, 500.5, 601.0])
    counts = array("I", [0, 258, top])
    record.spectrum(Spectrum("uvvis", nm, counts, 0.1, 10, 2, top, 5 * S), "sample")
    with closed(record) as run:
        (stamp,) = run.spectra(kind="sample")
        assert (stamp.source, stamp.t_ns) == ("uvvis", 5 * S)
        curve = run.curve(stamp)
        assert list(curve.values) == [0, 258, top]
        assert list(curve.wavelengths_nm) == list(nm)


def test_spectra_share_an_axis_and_are_found_by_kind_and_source(record):
    nm, other = array("d", [400.0, 500.0]), array("d", [401.0, 501.0])
    counts = array("I", [1, 2])
    for source, axis, kind in (("a", nm, "dark"), ("a", nm, "sample"), ("b", other, "sample")):
        record.spectrum(Spectrum(source, axis, counts, 0.1, 1, 0, 65_535, 0), kind)
    record.curve(1, "a", "absorbance", nm, array("d", [0.25, -0.5]))
    with closed(record) as run:
        assert len(run.spectra()) == 4
        assert [s.source for s in run.spectra("sample")] == ["a", "b"]
        assert [s.kind for s in run.spectra(source="a")] == ["dark", "sample", "absorbance"]
        assert list(run.curve(run.spectra("absorbance")[0]).values) == [0.25, -0.5]
        ((axes,),) = run._connection.execute("SELECT count(*) FROM axis")
        assert axes == 2


def test_steps_keep_their_times_and_a_retry_is_a_further_row(record):
    first = record.step_started(0, "II.1", "inject", "II", summary="inject S", planned_s=60.0)
    record.step_ended(first, 5 * S, "failed")
    second = record.step_started(6 * S, "II.1", "inject", "II", parent="II")
    record.step_clock(second, 7 * S)
    record.step_ended(second, 9 * S, "done")
    with closed(record) as run:
        assert [(s.state, s.clock_ns, s.end_ns) for s in run.steps] == [
            ("failed", None, 5 * S),
            ("done", 7 * S, 9 * S),
        ]
        assert run.steps[0].planned_s == 60.0


def test_a_dose_is_rewritten_under_its_id_and_keeps_its_place(record):
    record.dose(DoseRow("S1", "S", "pump_1", "injection", "flask", "starting", 0, commanded_ml=2.0))
    record.dose(DoseRow("HF", "HF", "hand", "injection", "flask", "starting", 1))
    done = DoseRow("S1", "S", "pump_1", "injection", "flask", "done", 0, S, 250.0, 2.0, 1.98, 0.4)
    record.dose(done)
    with closed(record) as run:
        assert [dose.id for dose in run.doses] == ["S1", "HF"]
        assert run.doses[0] == done


def test_a_decision_keeps_all_it_saw_and_why(record):
    number = record.decision_started(S, "II.4", "saturated", "peak")
    seen = [
        InputRow(number, 2 * S, 570.0, 560.5, 0.1, 250.0, hold=True, used=False),
        InputRow(number, 3 * S, None, None, None, None, hold=False, used=True),
    ]
    for row in seen:
        record.decision_input(row)
    evidence = {"n": 12, "slope_nm_min": float("nan"), "interval_nm": [-0.1, 0.2]}
    record.decision_ended(number, 4 * S, "saturated", "flat", evidence)
    with closed(record) as run:
        (made,) = run.decisions
        assert (made.verdict, made.at_ns, made.reason) == ("saturated", 4 * S, "flat")
        assert made.evidence == {"n": 12, "slope_nm_min": None, "interval_nm": [-0.1, 0.2]}
        assert run.inputs(number) == seen


def test_events_alarms_questions_commands_and_texts_come_back(record):
    record.event(Event(1, "step.note", "seen", {"x": 1.5, "who": "Ä"}, "deviation"))
    alarm = record.alarm(2, "overpressure", "trip", "flask above +60 mbar")
    record.alarm_off(alarm, 3)
    asked = record.question(4, "Go on?", ["accept", "park"], "park")
    record.answer(asked, 5, "accept", "Kim", simulated=True)
    record.command(6, "Kim", "pause", accepted=False, reason="holding already")
    record.artefact("plan.txt", "one")
    record.artefact("plan.txt", "two")
    record.anchor(7, dt.datetime(2025, 11, 3, 10))
    with closed(record) as run:
        assert run.events[0].data == {"x": 1.5, "who": "Ä"}
        assert run.events[0].level == "deviation"
        assert (run.alarms[0].t_on_ns, run.alarms[0].t_off_ns) == (2, 3)
        question = run.questions[0]
        assert question.choices == ["accept", "park"]
        assert (question.answer, question.by, question.simulated) == ("accept", "Kim", True)
        assert run.commands[0].accepted is False
        assert [a.text for a in run.artefacts] == ["two"]
        assert run.anchors[1].local == "2025-11-03T10:00:00"


async def test_an_intent_is_readable_when_it_returns(record):
    number = await record.intent(S, "dose", {"reagent": "HF", "volume_ml": 0.074})
    with open_run(record.path) as run:
        (intent,) = run.intents
        assert (intent.id, intent.state, intent.kind) == (number, "starting", "dose")
        assert intent.data == {"reagent": "HF", "volume_ml": 0.074}
    record.settle(number, 2 * S, "done", {"counter_ml": 0.074})
    with closed(record) as run:
        assert (run.intents[0].state, run.intents[0].end_ns) == ("done", 2 * S)
        assert run.intents[0].result == {"counter_ml": 0.074}


async def test_intents_made_together_all_return_with_their_own_numbers(record):
    numbers = await asyncio.gather(*(record.intent(i, "valve", {"n": i}) for i in range(50)))
    assert sorted(numbers) == list(range(1, 51))
    with closed(record) as run:
        assert {i.id: i.data["n"] for i in run.intents} == {n: n - 1 for n in numbers}


async def test_a_cancelled_intent_does_not_stop_the_writer(tmp_path):
    record = Record.create(tmp_path, meta(), durable=True)
    task = asyncio.create_task(record.intent(0, "dose", {}))
    asyncio.get_running_loop().call_soon(task.cancel)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await record.intent(1, "dose", {}) == 2
    record.close()


async def test_what_was_appended_before_an_intent_is_as_durable_as_the_intent(record):
    record.channels([Channel("T", "temperature")])
    record.append(Reading("T", 25.0, Quality.GOOD, 0))
    record.event(Event(0, "a", "b"))
    await record.intent(1, "dose", {})
    with open_run(record.path) as run:
        assert run.series("T")[1] == [25.0]
        assert len(run.events) == 1
    record.close()


def test_a_directory_holds_one_run(record):
    with pytest.raises(RecordError, match="already holds a run"):
        Record.create(record.path.parent, meta(), durable=False)
    record.close()


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordError, match=r"no record can be begun at .*file"):
        Record.create(tmp_path / "file" / "run", meta(), durable=False)


async def test_a_record_that_cannot_be_written_says_so_and_refuses_the_next_intent(record):
    record._connection.execute("PRAGMA query_only = ON")
    with pytest.raises(RecordError, match="cannot be written"):
        await record.intent(0, "dose", {})
    assert record.failed is not None
    with pytest.raises(RecordError, match="cannot be written"):
        await record.intent(1, "dose", {})
    with pytest.raises(RecordError):
        record.event(Event(0, "a", "b"))
    with pytest.raises(RecordError):
        record.close()


async def test_text_that_cannot_be_stored_fails_the_record_instead_of_hanging_it(record):
    with pytest.raises(RecordError, match="cannot be written"):
        await record.intent(0, "dose \udcff", {})
    with pytest.raises(RecordError):
        record.close()


def test_closing_leaves_one_file_in_rollback_mode(record):
    record.close()
    assert [path.name for path in record.path.parent.iterdir()] == ["run.sqlite"]
    with sqlite3.connect(record.path) as plain:
        assert plain.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert plain.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    plain.close()


def test_closing_while_somebody_reads_loses_nothing(record):
    record.event(Event(0, "a", "b"))
    with open_run(record.path) as run:
        reading = run._connection.execute("SELECT * FROM schema_doc")
        reading.fetchone()
        record.close()
        reading.close()
        assert len(run.events) == 1
        assert run.meta.digest is not None


def test_the_summary_is_the_public_object(record):
    step = record.step_started(0, "I.1", "ramp", "I")
    record.step_clock(step, S)
    record.step_ended(step, 2 * S, "done")
    record.step_started(2 * S, "II.1", "hold", "II")
    record.dose(DoseRow("p", "S", "pump", "prime", "waste", "done", 0))
    record.dose(DoseRow("S", "S", "pump", "injection", "flask", "done", S, 2 * S, 250.0, 2.0, 1.9))
    number = record.decision_started(0, "II.1", "saturated")
    record.decision_ended(number, S, "saturated", "flat", {"n": 3})
    record.alarm(S, "hot", "warn", "too hot")
    record.finish(3 * S, "safe", "safe", product={"layers": 1.0}, wall_s=0.5)
    with closed(record) as run:
        found = summary(run)
        assert found == {
            "run": "20251103-090000-inp-ab12",
            "directory": str(record.path.parent),
            "state": "safe",
            "outcome": "safe",
            "simulated_s": 3.0,
            "wall_s": 0.5,
            "stages": [
                {"name": "I", "start_s": 0.0, "end_s": 2.0},
                {"name": "II", "start_s": 2.0, "end_s": None},
            ],
            "steps": [
                {
                    "id": "I.1",
                    "verb": "ramp",
                    "stage": "I",
                    "start_s": 0.0,
                    "clock_s": 1.0,
                    "end_s": 2.0,
                },
                {
                    "id": "II.1",
                    "verb": "hold",
                    "stage": "II",
                    "start_s": 2.0,
                    "clock_s": None,
                    "end_s": None,
                },
            ],
            "decisions": [
                {
                    "step": "II.1",
                    "kind": "saturated",
                    "verdict": "saturated",
                    "at_s": 1.0,
                    "evidence": {"n": 3},
                }
            ],
            "doses": [
                {
                    "id": "S",
                    "reagent": "S",
                    "by": "pump",
                    "at_s": 1.0,
                    "flask_c": 250.0,
                    "commanded_ml": 2.0,
                    "delivered_ml": 1.9,
                    "state": "done",
                }
            ],
            "alarms": [{"id": "hot", "severity": "warn", "at_s": 1.0, "message": "too hot"}],
            "digest": run.digest(),
            "product": {"layers": 1.0},
        }


def test_a_real_run_has_no_product(tmp_path):
    record = Record.create(tmp_path, meta(simulated=False), durable=True)
    record.finish(S, "complete", "complete")
    record.close()
    with open_run(tmp_path) as run:
        assert "product" not in summary(run)


def test_the_summary_of_a_running_run_says_how_far_it_is(tmp_path):
    record = Record.create(tmp_path, meta(), durable=False)
    record.channels([Channel("T", "temperature")])
    record.append(Reading("T", 25.0, Quality.GOOD, 42 * S))
    record._sink.flush()
    with open_run(tmp_path) as run:
        found = summary(run)
        assert (found["simulated_s"], found["outcome"], found["wall_s"]) == (42.0, None, None)
        assert len(found["digest"]) == 64
    record.close()
