"""ProPar messages against the manual's bytes, and whatever else may lie on the line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.framing.propar import Message, find_message, reply_to, seal

byte = st.integers(0, 255)
data = st.binary(max_size=255)


@pytest.mark.parametrize(
    ("message", "inside"),
    [
        ("10 02 01 80 05 04 01 20 01 20 10 03", (1, 0x80, "04 01 20 01 20")),
        ("10 02 01 80 05 02 01 20 00 00 10 03", (1, 0x80, "02 01 20 00 00")),
        ("10 02 02 80 05 01 01 21 3E 80 10 03", (2, 0x80, "01 01 21 3E 80")),
        ("10 02 02 80 03 00 00 05 10 03", (2, 0x80, "00 00 05")),
        ("10 02 03 80 05 01 01 21 10 10 10 10 10 03", (3, 0x80, "01 01 21 10 10")),
    ],
)
def test_the_manuals_messages_are_written_and_read(message, inside):
    sequence, node, text = inside
    wire = bytes.fromhex(message)
    assert seal(sequence, node, bytes.fromhex(text)) == wire
    assert find_message(wire) == Message(sequence, node, bytes.fromhex(text), len(wire))


@given(byte, byte, data, st.binary(max_size=9).filter(lambda noise: b"\x10" not in noise))
def test_what_is_written_is_read_behind_noise_and_before_more(sequence, node, inside, noise):
    wire = noise + seal(sequence, node, inside)
    assert find_message(wire + noise) == Message(sequence, node, inside, len(wire))
    assert all(find_message(wire[:n]) is None for n in range(len(noise), len(wire)))


@given(st.binary(max_size=40), data)
def test_a_message_cut_short_does_not_hide_the_next(cut, inside):
    whole = seal(7, 3, inside)
    found = reply_to(7, 3)(b"\x10\x02" + cut + whole)
    assert found is None or found <= 2 + len(cut) + len(whole)
    assert reply_to(7, 3)(b"\x10\x02\x05\x10\x07" + whole) == 5 + len(whole)


@given(byte, byte)
def test_only_its_own_number_and_node_answer(sequence, node):
    told = seal(sequence, node, b"\x00\x00\x05")
    assert (reply_to(7, 3)(told) is not None) == ((sequence, node) == (7, 3))


@pytest.mark.parametrize("length", [0, 2, 4, 255])
def test_a_wrong_length_is_no_message(length):
    assert find_message(bytes((0x10, 2, 1, 0x80, length, 0, 0, 5, 0x10, 3))) is None
