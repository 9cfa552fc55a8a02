"""Frames of Cavro and Harvard pumps: no beginning of a reply passes for the whole."""

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from labctl.framing.cavro import (
    Answer,
    CommandReader,
    dt_answer,
    dt_command,
    dt_frame,
    oem_answer,
    oem_command,
    oem_frame,
    read_dt,
    read_oem,
)
from labctl.framing.harvard import read, replies

TEXT = st.text("0123456789 abcilm.:/", max_size=20)
STATUS = st.sampled_from([0x40, 0x60, 0x67, 0x6F])


@given(STATUS, TEXT.map(str.encode))
@pytest.mark.parametrize(
    ("wrap", "frame", "unwrap"),
    [(oem_answer, oem_frame, read_oem), (dt_answer, dt_frame, read_dt)],
)
def test_a_cavro_answer_is_whole_at_its_last_byte_and_not_before(wrap, frame, unwrap, status, data):
    whole = wrap(Answer(status, data))
    assert [frame(whole[:end]) for end in range(len(whole))] == [None] * len(whole)
    assert frame(whole + b"more") == len(whole)
    assert unwrap(whole) == Answer(status, data)


@given(st.binary(max_size=12).filter(lambda noise: b"\x03" not in noise), TEXT, st.booleans())
def test_a_cavro_command_is_heard_after_noise_whatever_its_pieces(noise, text, oem):
    data = text.replace("/", "").encode()
    frame = oem_command(0x31, data, 5) if oem else dt_command(0x31, data)
    reader, heard = CommandReader(), []
    for byte in noise + frame + frame:
        reader.take(bytes([byte]))
        while (command := reader.next_command()) is not None:
            heard.append(command.data)
    assert data in heard


@given(st.sampled_from([b"", b"07"]), TEXT, st.sampled_from([b":", b">", b"<", b"*", b"T*"]))
def test_a_harvard_line_with_its_prompt_is_whole_at_its_last_byte_and_not_before(own, text, prompt):
    # Two digits and a colon would name the pump, and then the prompt has to as well.
    assume(own or not re.match(r"\d\d:", text))
    line = (own + b":" if own else b"") + text.encode()
    whole = b"\n" + line + b"\r\n" + own + prompt
    assert [replies(1)(whole[:end]) for end in range(len(whole))] == [None] * len(whole)
    assert replies(1)(whole) == len(whole)
    said = read(whole)
    assert (said.address, said.prompt) == (7 if own else None, prompt.decode())
