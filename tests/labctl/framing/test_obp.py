"""The Ocean Binary Protocol's frame against the vendor's bytes, and against anything else."""

from __future__ import annotations

import contextlib
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.framing import obp

# STS data sheet: set the integration time to 10 ms and ask for an acknowledgement.
SET_10_MS = bytes.fromhex(
    "c1c0 0011 0400 0000 10001100 00000000 000000000000 00 04"
    "10270000 000000000000000000000000 14000000"
    "00000000000000000000000000000000 c5c4c3c2"
)

messages = st.builds(
    obp.Message,
    st.integers(0, 2**32 - 1),
    st.binary(max_size=300),
    st.integers(0, 0x3F),
    st.integers(0, 255),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0, 1]),
    st.integers(0, 2**16 - 1),
)


def test_the_data_sheets_example_is_written_byte_for_byte():
    message = obp.Message(0x110010, (10_000).to_bytes(4, "little"), obp.Flag.REQUEST_ACK)
    assert obp.encode(message) == SET_10_MS


def test_the_data_sheets_example_is_read():
    message = obp.decode(SET_10_MS)
    assert message.kind == 0x110010
    assert int.from_bytes(message.data, "little") == 10_000
    assert message.flags == obp.Flag.REQUEST_ACK
    assert obp.is_whole(SET_10_MS)
    assert obp.length(SET_10_MS + b"next") == 64


@pytest.mark.parametrize(("size", "frame_bytes"), [(0, 64), (16, 64), (17, 81), (4136, 4200)])
def test_up_to_sixteen_bytes_travel_in_the_header(size, frame_bytes):
    assert len(obp.encode(obp.Message(1, bytes(size)))) == frame_bytes


def test_the_checksum_is_the_md5_of_header_and_payload():
    frame = obp.encode(obp.Message(0x101000, bytes(range(40)), checksum_type=1))
    assert frame[-20:-4] == hashlib.new("md5", frame[:84], usedforsecurity=False).digest()
    assert obp.is_whole(frame)
    spoiled = frame[:50] + b"\xff" + frame[51:]
    assert not obp.is_whole(spoiled)


@given(messages)
def test_what_is_written_is_read_back(message):
    frame = obp.encode(message)
    assert obp.length(frame) == len(frame)
    assert obp.decode(frame) == message
    assert obp.is_whole(frame)


@given(messages, st.integers(0, 400))
def test_no_part_of_a_message_is_taken_for_the_whole(message, count):
    frame = obp.encode(message)
    part = frame[: min(count, len(frame) - 1)]
    assert obp.length(part) is None


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_in_words_or_read(data):
    length = obp.length(data)
    assert length is None or 0 < length <= len(data)
    with contextlib.suppress(ValueError):
        assert len(obp.decode(data).data) == len(data) - 64


@pytest.mark.parametrize(
    ("at", "spoiled", "says"),
    [
        (0, b"\xc0", "starts with"),
        (40, b"\x15", "were to follow"),
        (63, b"\xc3", "footer"),
        (23, b"\x11", "immediate"),
    ],
)
def test_a_spoiled_frame_is_refused_with_its_reason(at, spoiled, says):
    frame = SET_10_MS[:at] + spoiled + SET_10_MS[at + 1 :]
    with pytest.raises(ValueError, match=says):
        obp.decode(frame)


def test_immediate_bytes_beside_a_payload_are_refused():
    frame = bytearray(obp.encode(obp.Message(1, bytes(20))))
    frame[23] = 4
    with pytest.raises(ValueError, match="4 immediate bytes do not go with 20"):
        obp.decode(bytes(frame))


def test_an_absurd_length_does_not_make_the_reader_wait_for_a_gigabyte():
    frame = SET_10_MS[:40] + b"\xff\xff\xff\x7f" + SET_10_MS[44:]
    assert obp.length(frame) == len(frame)
