import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.framing.newera import RequestReader, find_packet, reply_from, seal, unseal

SAF0 = bytes.fromhex("02 08 53 41 46 30 55 43 03")
HALF_S = 500_000_000


def test_the_manuals_packet_both_ways():
    assert seal(b"SAF0") == SAF0
    assert unseal(SAF0) == b"SAF0"


def test_the_manuals_basic_reply_is_found():
    reply = bytes.fromhex("02 30 30 53 31 34 2E 34 33 03")
    packet = find_packet(reply)
    assert (packet.text, packet.sealed, packet.end) == (b"00S14.43", False, len(reply))


@given(st.binary(max_size=40), st.integers(0, 7))
def test_one_flipped_bit_is_seen(text, bit):
    packet = bytearray(seal(text))
    packet[-3] ^= 1 << bit
    assert unseal(bytes(packet)) is None


def test_a_reply_ends_after_the_asked_pump_whatever_others_say_before():
    alarm, answer = seal(b"02A?S"), seal(b"01S")
    frame = reply_from(1)
    assert frame(alarm) is None
    assert frame(alarm + answer + b"\x02") == len(alarm + answer)


def test_garbage_before_a_reply_is_skipped():
    answer = seal(b"01I0.500")
    assert reply_from(1)(b"\xff\x02\x01" + answer) == 3 + len(answer)


def test_a_damaged_packet_ends_the_reply_so_that_it_is_refused_at_once():
    damaged = bytearray(seal(b"01S"))
    damaged[3] ^= 0x10
    assert reply_from(1)(bytes(damaged)) == len(damaged)


@given(st.binary(max_size=60))
def test_any_bytes_are_searched_without_error(data):
    packet = find_packet(data)
    assert packet is None or 0 <= packet.start < packet.end <= len(data)


def read_all(chunks, safe=False):
    reader, requests = RequestReader(), []
    for chunk in chunks:
        reader.take(chunk, 0)
        while (request := reader.next_request(safe=safe)) is not None:
            requests.append(request)
    return requests


@given(st.lists(st.sampled_from([b"0RUN\r", SAF0, b"\x02", b"\xff", b"DI", b"\x02\x05"])))
def test_requests_do_not_depend_on_how_bytes_are_bundled(pieces):
    data = b"".join(pieces)
    assert read_all([data]) == read_all([data[i : i + 1] for i in range(len(data))])


def test_lines_count_in_basic_mode_only_and_packets_in_both():
    data = b"junk" + SAF0 + b"0RUN\r"
    assert [request.text for request in read_all([data])] == [b"SAF0", b"0RUN"]
    assert [request.text for request in read_all([data], safe=True)] == [b"SAF0"]


@pytest.mark.parametrize(("pause_ns", "requests"), [(HALF_S, [(b"SAF0", True)]), (HALF_S + 1, [])])
def test_a_packet_that_pauses_for_more_than_half_a_second_is_dropped(pause_ns, requests):
    reader = RequestReader()
    reader.take(SAF0[:4], 0)
    reader.take(SAF0[4:], pause_ns)
    found = reader.next_request(safe=True)
    assert [found] * (found is not None) == requests
