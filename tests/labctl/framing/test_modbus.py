import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.framing.modbus import (
    RequestReader,
    answers,
    exception_code,
    is_whole,
    reply_length,
    request_length,
    seal,
)

READ = bytes.fromhex("01 03 00 01 00 02 95 CB")
WRITE_MANY = bytes.fromhex("01 10 80 04 00 02 04 43 48 80 00 67 C8")
MS = 1_000_000


@pytest.mark.parametrize(
    "frame",
    ["01 03 04 00 FA 00 FA 5A 41", "01 06 00 02 04 B0 2B 7E", "01 83 02 C0 F1"],
)
def test_documented_replies_are_whole_and_end_where_they_end(frame):
    reply = bytes.fromhex(frame)
    assert is_whole(reply)
    assert reply_length(reply + b"\x00") == len(reply)
    assert reply_length(reply[:-1]) is None


def test_documented_requests_end_where_they_end():
    assert request_length(READ + b"\x00") == len(READ)
    assert request_length(WRITE_MANY + b"\x00") == len(WRITE_MANY)
    assert request_length(WRITE_MANY[:-1]) is None


def test_an_answer_is_from_who_was_asked_and_for_what_was_asked():
    assert answers(READ, bytes.fromhex("01 03 04 00 FA 00 FA 5A 41"))
    assert not answers(READ, bytes.fromhex("01 03 04 00 FA 00 FA 5A 42"))
    assert not answers(READ, seal(bytes.fromhex("02 03 04 00 FA 00 FA")))
    assert not answers(READ, seal(bytes.fromhex("01 04 04 00 FA 00 FA")))
    refusal = bytes.fromhex("01 83 02 C0 F1")
    assert answers(READ, refusal)
    assert exception_code(refusal) == 2
    assert exception_code(bytes.fromhex("01 03 04 00 FA 00 FA 5A 41")) == 0


@pytest.mark.parametrize("garbage", ["", "00", "FF FF 10", "01 10 00 00 00 7B F6", "01 03 00 01"])
def test_garbage_before_a_request_is_skipped(garbage):
    assert RequestReader().take(bytes.fromhex(garbage) + READ, 0) == [READ]


def test_a_request_that_pauses_is_forgotten():
    reader = RequestReader()
    assert reader.take(READ[:4], 0) == []
    assert reader.take(READ[4:], 21 * MS) == []
    assert reader.take(READ, 100 * MS) == [READ]
    assert reader.take(READ[:4], 200 * MS) == []
    assert reader.take(READ[4:], 204 * MS) == [READ]


@given(st.lists(st.sampled_from([READ, WRITE_MANY]), max_size=5), st.data())
def test_chunks_make_no_difference(requests, data):
    stream = b"".join(requests)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    reader, found = RequestReader(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += reader.take(stream[start:end], 0)
    assert found == requests


@given(st.binary(max_size=600))
def test_noise_costs_no_later_request(noise):
    reader = RequestReader()
    reader.take(noise, 0)
    assert reader.take(READ, 100 * MS) == [READ]
