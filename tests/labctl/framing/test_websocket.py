import asyncio
import base64

import pytest
import websockets.asyncio.client
import websockets.asyncio.server
from hypothesis import given
from hypothesis import strategies as st

from labctl.framing.websocket import (
    HEAD_END,
    Message,
    Opcode,
    Stream,
    answer,
    encode,
    request,
    why_refused,
)

NONCE = b"the sample nonce"
SAMPLE = request("server.example.com", NONCE)
MASK = bytes.fromhex("37fa213d")


def heard(data, *, from_client=False):
    return Stream(from_client=from_client).feed(bytes.fromhex(data))


def test_the_examples_of_the_rfc_are_read():
    hello = Message(Opcode.TEXT, b"Hello")
    assert heard("81 05 48 65 6c 6c 6f") == [hello]
    assert heard("81 85 37 fa 21 3d 7f 9f 4d 51 58", from_client=True) == [hello]
    assert heard("01 03 48 65 6c 80 02 6c 6f") == [hello]
    assert heard("89 05 48 65 6c 6c 6f") == [Message(Opcode.PING, b"Hello")]
    assert heard("8a 85 37 fa 21 3d 7f 9f 4d 51 58", from_client=True) == [
        Message(Opcode.PONG, b"Hello")
    ]
    assert encode(Opcode.BINARY, bytes(256))[:4].hex() == "827e0100"
    assert encode(Opcode.BINARY, bytes(65536))[:10].hex() == "827f0000000000010000"


def test_the_rfcs_handshake_opens():
    reply, is_open = answer(SAMPLE)
    assert b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==" in SAMPLE
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in reply
    assert is_open
    assert why_refused(reply, NONCE) == ""


@pytest.mark.parametrize(
    ("wrong", "right", "why"),
    [
        (b"HTTP/1.1 404 Not Found", b"HTTP/1.1 101 Switching Protocols", "404"),
        (b"Upgrade: h2c", b"Upgrade: websocket", "no upgrade"),
        (b"Connection: keep-alive", b"Connection: Upgrade", "no upgrade"),
        (b"Accept: AAAA", b"Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "another key"),
        (b"Sec-WebSocket-Protocol: x\r\nUpgrade", b"Upgrade", "protocol"),
    ],
)
def test_a_reply_that_opens_nothing_says_why(wrong, right, why):
    reply, _ = answer(SAMPLE)
    assert why in why_refused(reply.replace(right, wrong, 1), NONCE)


@pytest.mark.parametrize(
    ("wrong", "right", "status"),
    [
        (b"POST /", b"GET /", b"400"),
        (b"HTTP/1.0", b"HTTP/1.1", b"400"),
        (b"Key: short", b"Key: dGhlIHNhbXBsZSBub25jZQ==", b"400"),
        (b"Version: 8", b"Version: 13", b"426"),
        (b"X: y", b"Upgrade: websocket", b"426"),
    ],
)
def test_a_request_that_asks_for_something_else_is_refused(wrong, right, status):
    reply, is_open = answer(SAMPLE.replace(right, wrong, 1))
    assert status in reply.split(b"\r\n")[0]
    assert not is_open


@pytest.mark.parametrize(
    "data",
    [
        "c1 00",  # a reserved bit
        "83 00",  # a reserved opcode
        "81 85 37 fa 21 3d 7f 9f 4d 51 58",  # a server that masks
        "09 00",  # a ping in fragments
        "89 7e 00 7e",  # a ping of 126 bytes
        "80 00",  # the rest of nothing
        "01 00 81 00",  # a message within another
        "81 02 c3 28",  # no UTF-8
        "88 01 03",  # half a code
        "88 02 03 ed",  # code 1005, which may not be sent
        "82 7f ff ff ff ff ff ff ff ff",  # endless
    ],
)
def test_what_the_rfc_forbids_is_an_error(data):
    with pytest.raises(ValueError, match=r"."):
        heard(data)


def test_a_client_that_does_not_mask_is_an_error():
    with pytest.raises(ValueError, match="masks"):
        heard("81 05 48 65 6c 6c 6f", from_client=True)


def test_control_frames_come_through_between_fragments():
    frames = [
        encode(Opcode.TEXT, b"ab", final=False),
        encode(Opcode.PING, b"?"),
        encode(Opcode.CONTINUATION, b"c"),
    ]
    assert Stream(from_client=False).feed(b"".join(frames)) == [
        Message(Opcode.PING, b"?"),
        Message(Opcode.TEXT, b"abc"),
    ]


messages = st.lists(
    st.one_of(
        st.tuples(st.just(Opcode.TEXT), st.text(max_size=300).map(str.encode)),
        st.tuples(st.just(Opcode.BINARY), st.binary(max_size=70_000)),
        st.tuples(st.sampled_from([Opcode.PING, Opcode.PONG]), st.binary(max_size=125)),
    ),
    max_size=5,
)


@given(messages, st.binary(min_size=4, max_size=4), st.booleans(), st.integers(1, 4000), st.data())
def test_whatever_is_sent_arrives_in_any_pieces(sent, mask, from_client, piece, data):
    frames = b""
    for kind, payload in sent:
        cut = data.draw(st.integers(0, len(payload))) if kind < Opcode.CLOSE else 0
        key = mask if from_client else b""
        if cut:
            frames += encode(kind, payload[:cut], mask=key, final=False)
        last = Opcode.CONTINUATION if cut else kind
        frames += encode(last, payload[cut:], mask=key)
    stream = Stream(from_client=from_client)
    got = [m for at in range(0, len(frames), piece) for m in stream.feed(frames[at : at + piece])]
    assert [(m.kind, m.data) for m in got] == sent
    assert stream.between_frames


@given(st.binary(max_size=200), st.booleans())
def test_no_bytes_do_more_than_raise_a_value_error(data, from_client):
    stream = Stream(from_client=from_client)
    try:
        for byte in data:
            stream.feed(bytes((byte,)))
    except ValueError:
        return
    answer(data + HEAD_END)
    why_refused(data + HEAD_END, NONCE)


async def read_messages(reader, stream, count):
    got = []
    while len(got) < count:
        got += stream.feed(await reader.read(65536))
    return got


async def test_the_servers_side_of_the_websockets_package_understands_us():
    heard_there = []

    async def echo(socket):
        async for message in socket:
            heard_there.append(message)
            await socket.send(message)
            await socket.send(["in ", "frag", "ments"])
            await (await socket.ping(b"there?"))

    async with websockets.asyncio.server.serve(echo, "127.0.0.1", 0, compression=None) as server:
        host, port = server.sockets[0].getsockname()
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(request(host, NONCE))
        assert why_refused(await reader.readuntil(HEAD_END), NONCE) == ""
        stream = Stream(from_client=False)
        for sent in (b"{}", b"x" * 126, b"y" * 70_000):
            writer.write(encode(Opcode.TEXT, sent, mask=MASK))
            got = await read_messages(reader, stream, 3)
            assert [m.data for m in got] == [sent, b"in fragments", b"there?"]
            writer.write(encode(Opcode.PONG, b"there?", mask=MASK))
        writer.write(encode(Opcode.CLOSE, b"\x03\xe8", mask=MASK))
        (closing,) = await read_messages(reader, stream, 1)
        assert closing == Message(Opcode.CLOSE, b"\x03\xe8")
        writer.close()
        await writer.wait_closed()
    assert heard_there == ["{}", "x" * 126, "y" * 70_000]


async def test_the_clients_side_of_the_websockets_package_understands_us():
    async def serve(reader, writer):
        reply, is_open = answer(await reader.readuntil(HEAD_END))
        assert is_open
        writer.write(reply)
        stream = Stream(from_client=True)
        while True:
            for message in stream.feed(await reader.read(65536)):
                kind = Opcode.PONG if message.kind == Opcode.PING else message.kind
                writer.write(encode(kind, message.data))
                if kind == Opcode.CLOSE:
                    writer.close()
                    return

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        async with websockets.asyncio.client.connect(f"ws://{host}:{port}") as socket:
            await (await socket.ping())
            for sent in ("hello", "z" * 300, b"\0" * 70_000):
                await socket.send(sent)
                assert await socket.recv() == sent


def test_the_key_is_that_of_the_nonce():
    assert base64.b64encode(NONCE) in SAMPLE
