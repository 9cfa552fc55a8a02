import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.capabilities import DeviceSettings
from labctl.framing.cavro import checksum, oem_command, read_oem
from labctl.twin import TwinDevice
from simulators.cavro_program import SPEEDS
from simulators.cavro_xcalibur import SimXCalibur

S = 1_000_000_000
HEAD = {"flask": "3", "reservoir": "1", "waste": "9"}


def pump(plant, address=0, ports=HEAD, drawn=False):
    settings = DeviceSettings("pump", address=address, syringe_ml=5.0, bore_mm=14.57, ports=ports)
    touches = {"drawn": "drawn"} if drawn else {}
    return SimXCalibur(TwinDevice("pump", "cavro_xcalibur", "line", settings, touches), plant)


@pytest.fixture
def made(still_plant):
    return pump(still_plant())


@pytest.fixture
def ready(still_plant):
    """An initialised pump with its plunger at the top."""
    sim = pump(still_plant())
    assert say(sim, "ZR")[0] == 0x40
    assert say(sim, "Q", 3)[0] == 0x60
    return sim


def say(sim, command, t_s=0.0):
    """Send a DT line; return (status, data) of the one answer, or None."""
    replies = sim.feed(b"/" + bytes([sim.address]) + command.encode() + b"\r", round(t_s * S))
    if not replies:
        return None
    ((_, reply),) = replies
    assert (reply[:2], reply[-3:]) == (b"/0", b"\x03\r\n")
    return reply[2], reply[3:-3].decode()


def test_the_manuals_frames_in_both_protocols(made, still_plant):
    assert made.feed(b"/1Q\r", 0)[0][1] == bytes.fromhex("2F 30 60 03 0D 0A")
    ask = bytes.fromhex("02 31 31 51 03 50")
    assert pump(still_plant()).feed(ask, 0)[0][1] == bytes.fromhex("02 30 60 03 51")


def test_before_initialising_a_move_is_refused_and_stays_refused(made):
    assert say(made, "A100R") == (0x67, "")
    assert say(made, "Q") == (0x67, "")
    assert say(made, "I3R") == (0x67, "")
    assert made._plant.moved == []


def test_initialising_pushes_what_is_held_out_at_the_named_port(still_plant):
    sim = pump(still_plant(drawn=3.0), drawn=True)
    assert say(sim, "?") == (0x60, "1800")
    assert say(sim, "Z0,1,3R", 1.0)[0] == 0x40
    assert say(sim, "Q", 1.5)[0] == 0x40
    assert [say(sim, c, 4.0) for c in ("Q", "?", "?6")] == [(0x60, ""), (0x60, "0"), (0x60, "3")]
    assert sum(ml for _, ml in sim._plant.moved) == pytest.approx(3.0)


def test_after_a_power_cut_the_pump_forgets_the_place_and_the_syringe_stays_full(still_plant):
    sim = pump(still_plant(drawn=3.0), drawn=True)
    sim.power_cycle()
    assert say(sim, "?", 1.0) == (0x60, "0")
    assert say(sim, "A0R", 1.0)[0] == 0x67
    say(sim, "Z0,1,9R", 1.0)
    assert sim._plant.moved == []
    assert say(sim, "Q", 4.0)[0] == 0x60
    sim = pump(still_plant(drawn=3.0), drawn=True)
    sim.power_cycle()
    say(sim, "Z0,1,3R", 1.0)
    assert sum(ml for _, ml in sim._plant.moved) == pytest.approx(3.0)


def test_a_program_runs_step_by_step_at_its_speeds(ready):
    assert say(ready, "I1V6000A3000M1000O3V600A1500R", 10.0)[0] == 0x40
    assert say(ready, "?6", 10.1)[1] == "1"
    assert say(ready, "?", 10.75)[1] == "1500"
    assert say(ready, "?", 12.0)[1] == "3000"
    assert say(ready, "?6", 12.4)[1] == "3"
    assert say(ready, "?", 15.0)[1] == "2250"
    assert say(ready, "Q", 17.4)[0] == 0x40
    assert say(ready, "Q", 17.6)[0] == 0x60
    assert sum(ml for _, ml in ready._plant.moved) == pytest.approx(2.5)


def test_fine_places_are_an_eighth_and_speeds_stay(ready):
    say(ready, "N1V6000A24000R", 10.0)
    assert say(ready, "?", 10.5)[1] == "12000"
    assert say(ready, "?", 12.0)[1] == "24000"
    say(ready, "N0R", 12.0)
    assert say(ready, "?", 12.0)[1] == "3000"


def test_lowercase_moves_answer_that_the_pump_is_ready(ready):
    assert say(ready, "a3000R", 10.0)[0] == 0x60
    assert say(ready, "Q", 11.0)[0] == 0x60


def test_while_it_moves_only_reports_t_and_a_new_speed_are_taken(ready):
    say(ready, "V600A3000R", 10.0)
    assert say(ready, "A0R", 11.0)[0] == 0x4F
    assert say(ready, "Q", 11.0)[0] == 0x40
    assert say(ready, "V1000R", 11.0)[0] == 0x40
    assert say(ready, "V1025R", 11.0)[0] == 0x43
    assert say(ready, "?", 12.0)[1] == "800"
    assert say(ready, "T", 12.0)[0] == 0x60
    assert say(ready, "?", 20.0)[1] == "800"


@pytest.mark.parametrize(
    ("command", "status"),
    [("A100xR", 0x62), ("A3001R", 0x63), ("V6001R", 0x63), ("D1R", 0x63), ("g" * 11 + "R", 0x64)],
)
def test_mistakes_are_told_at_once_and_forgotten_with_the_next_command(ready, command, status):
    assert say(ready, command, 10.0)[0] == status
    assert say(ready, "Q", 10.0)[0] == 0x60


def test_a_blocked_plunger_is_told_until_it_is_initialised_anew(ready):
    ready.stall()
    for command in ("Q", "A100R", "Q"):
        assert say(ready, command, 10.0)[0] == 0x69
    say(ready, "ZR", 10.0)
    assert say(ready, "Q", 13.0)[0] == 0x60


def test_a_jammed_valve_stops_the_program_before_the_plunger(ready):
    ready.jam_valve()
    say(ready, "I1A3000R", 10.0)
    assert say(ready, "Q", 11.0)[0] == 0x6A
    assert say(ready, "?", 11.0)[1] == "0"


def test_in_bypass_the_plunger_does_not_move(still_plant):
    sim = pump(still_plant(), ports={"flask": "output"})
    say(sim, "ZR")
    say(sim, "BR", 3.0)
    assert say(sim, "?6", 4.0)[1] == "b"
    assert say(sim, "A100R", 4.0)[0] == 0x6B
    assert say(sim, "Q", 4.0)[0] == 0x60


def test_a_string_waits_for_r_and_x_runs_it_again(ready):
    assert say(ready, "P100", 10.0)[0] == 0x60
    assert say(ready, "?10", 10.0)[1] == say(ready, "F", 10.0)[1] == "1"
    say(ready, "R", 10.0)
    assert say(ready, "?", 11.0)[1] == "100"
    assert say(ready, "F", 11.0)[1] == "0"
    say(ready, "X", 11.0)
    assert say(ready, "?", 12.0)[1] == "200"


def test_loops_repeat_and_a_halted_program_goes_on_with_r(ready):
    say(ready, "gP100G3HA0R", 10.0)
    assert [say(ready, c, 12.0)[1] for c in ("?", "F")] == ["300", "0"]
    say(ready, "R", 12.0)
    assert say(ready, "?", 14.0)[1] == "0"


def test_an_endless_loop_ends_with_t(ready):
    say(ready, "gP1D1G0R", 10.0)
    assert say(ready, "Q", 60.0)[0] == 0x40
    say(ready, "T", 60.0)
    assert say(ready, "Q", 61.0)[0] == 0x60


def test_the_speed_table_is_the_manuals():
    assert [SPEEDS[code] for code in (0, 11, 17, 18, 27, 34, 35, 40)] == [
        *(6000, 1400, 200, 190, 100),
        *(30, 20, 10),
    ]
    assert len(SPEEDS) == 41


def test_others_get_no_answer_and_groups_obey_in_silence(still_plant):
    sims = [pump(still_plant(), address=n) for n in (0, 1, 4)]
    for address, meant in (
        (b"1", [0]),
        (b"A", [0, 1]),
        (b"Q", [0, 1]),
        (b"U", [4]),
        (b"_", [0, 1, 4]),
    ):
        for number, sim in zip((0, 1, 4), sims, strict=True):
            sim.power_cycle()
            said = sim.feed(b"/" + address + b"V%dR\r" % (100 + number), 0)
            assert bool(said) is (address == b"1" and number == 0)
            assert (sim._speeds["V"] == 100 + number) is (number in meant)


def test_after_one_oem_frame_dt_is_not_heard_until_a_power_cycle(made):
    assert say(made, "Q") is not None
    made.feed(oem_command(0x31, b"Q", 1), 0)
    assert say(made, "Q") is None
    made.power_cycle()
    assert say(made, "Q") is not None


def test_a_bad_checksum_is_silence(made):
    frame = bytearray(oem_command(0x31, b"Q", 1))
    frame[-1] ^= 1
    assert made.feed(bytes(frame), 0) == []
    assert made.feed(oem_command(0x31, b"Q", 1), 0) != []


def test_a_repetition_is_acknowledged_and_not_run_again(ready):
    move, again = (oem_command(0x31, b"P100R", 3, repeated=r) for r in (False, True))
    ready.feed(move, 10 * S)
    ready.feed(oem_command(0x31, b"Q", 3), 11 * S)
    ((_, reply),) = ready.feed(again, 11 * S)
    assert read_oem(reply).status == 0x60
    assert place(ready, 12) == "100"
    ready.feed(move, 12 * S)
    assert place(ready, 13) == "200"


def test_a_client_that_never_counts_is_obeyed_each_time(ready):
    for second in range(3):
        ready.feed(oem_command(0x31, b"P100R", 1), (10 + second) * S)
    assert place(ready, 14) == "300"


def place(sim, t_s):
    ((_, reply),) = sim.feed(oem_command(sim.address, b"?", 1), t_s * S)
    return read_oem(reply).data.decode()


def test_the_exchanges_of_tecancavro(made):
    # The frames that benpruitt/tecancavro's TecanAPI builds: its sequence byte is always 0x31, its
    # repetition 0x39; its XCaliburD starts with these.
    def ask(command, sequence=0x31):
        frame = bytes((2, 0x31, sequence, *command.encode(), 3))
        ((_, reply),) = made.feed(frame + bytes((checksum(frame),)), ask.t_ns)
        assert checksum(reply[:-1]) == reply[-1]
        assert (reply[0], reply[1], reply[-2]) == (2, 0x30, 3)
        return f"{reply[2]:08b}", reply[3:-2].decode()

    ask.t_ns = 0
    assert ask("N0R") == ("01100000", "")
    assert [int(ask(report)[1]) for report in ("?1", "?2", "?3", "?")] == [900, 1400, 900, 0]
    # It tells that the pump is not initialised from a port that is no number, and initialises.
    assert not ask("?6")[1].isdigit()
    assert ask("Z0,0,9R")[0][2] == "0"
    ask.t_ns = 3 * S
    assert ask("Q") == ("01100000", "")
    assert int(ask("?6")[1]) == 9
    assert ask("I1P1500R")[0][4:] == "0000"
    assert ask("I1P1500R", 0x39)[0][4:] == "0000"
    ask.t_ns = 10 * S
    assert ask("?")[1] == "1500"
    assert ask("TR")[0] == "01100000"


@given(
    st.lists(st.sampled_from([b"/1P1R\r", b"\x02", oem_command(0x31, b"Q", 1), b"/1?\r", b"\xff"]))
)
def test_bundling_of_bytes_changes_nothing(pieces):
    data = b"".join(pieces)
    whole, single = (pump(Still(), drawn=False) for _ in range(2))
    expected = [reply for _, reply in whole.feed(data, 0)]
    got = [r for i in range(len(data)) for _, r in single.feed(data[i : i + 1], 0)]
    assert got == expected


class Still:
    """A plant where everything moves."""

    def move(self, syringe, volume_ml, t_ns):
        return volume_ml


@given(st.lists(st.tuples(st.binary(max_size=30), st.integers(0, S)), max_size=8))
def test_any_bytes_get_answers_in_the_grammar_or_none(pieces):
    sim, t_ns = pump(Still()), 0
    for data, wait_ns in pieces:
        t_ns += wait_ns
        for _, reply in sim.feed(b"/1" + data + b"\r", t_ns):
            assert reply[-1] in {10, checksum(reply[:-1])}


LETTERS = st.text("ZYWIOBAPDapdNSvVcLKkMgGHRXT0123456789,", max_size=16)


@given(st.lists(LETTERS, max_size=6))
def test_any_program_keeps_the_plunger_within_its_stroke(programs):
    sim = pump(Still())
    say(sim, "ZR")
    for number, program in enumerate(programs, 1):
        say(sim, program + "R", 3.0 * number)
        assert 0 <= sim._place <= 24_000
