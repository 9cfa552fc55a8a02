"""Bytes in, bytes out: one question at a time on a port, over pyserial, TCP, pyvisa or memory."""

from labctl.clock import Priority
from labctl.transport.port import Port, Wire

__all__ = ["Port", "Priority", "Wire"]
