"""A Modbus RTU unit as simulated instruments have one inside: who is asked, and what refusing is.

It hears its own address and the broadcast address 0, which is obeyed in silence; a request that
is not whole, or is for another unit, gets no answer. Sources: Modbus over Serial Line V1.02,
Modbus Application Protocol V1.1b3, section 7 (exception codes).
"""

from __future__ import annotations

from collections.abc import Callable

from labctl.errors import LabctlError
from labctl.framing.modbus import RequestReader, seal

ILLEGAL_FUNCTION = 1
ILLEGAL_ADDRESS = 2
ILLEGAL_VALUE = 3

_TURN_ROUND_NS = 10_000_000
_BROADCAST = 0
_WRITES = frozenset({5, 6, 15, 16})

Obey = Callable[[int, bytes, int], bytes]


class ExceptionReplyError(LabctlError):
    """The unit answers with an exception: 1 function, 2 address, 3 value."""

    def __init__(self, code: int) -> None:
        super().__init__(f"Modbus exception {code}")
        self.code = code


class ModbusSlave:
    """One unit: `obey(function, data, t_ns)` gets a request's data and returns the reply's.

    `obey` may raise `ExceptionReplyError`; address, function code and CRC are added here.
    """

    def __init__(self, address: int, obey: Obey) -> None:
        self.address = address
        self._obey = obey
        self._reader = RequestReader()

    def feed(self, data: bytes, t_ns: int) -> list[tuple[int, bytes]]:
        """Take bytes at `t_ns`; return (delay in ns, reply) for each request to this unit."""
        replies: list[tuple[int, bytes]] = []
        if not data:
            return replies
        for request in self._reader.take(data, t_ns):
            if request[0] == self.address:
                replies.append((_TURN_ROUND_NS, self._answer(request, t_ns)))
            elif request[0] == _BROADCAST and request[1] in _WRITES:
                self._answer(request, t_ns)
        return replies

    def _answer(self, request: bytes, t_ns: int) -> bytes:
        function = request[1]
        try:
            body = bytes((function,)) + self._obey(function, request[2:-2], t_ns)
        except ExceptionReplyError as refusal:
            body = bytes((function | 0x80, refusal.code))
        return seal(request[:1] + body)
