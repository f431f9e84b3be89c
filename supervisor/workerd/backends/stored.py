"""Read from a stored result only whether it is a SUCCESS, without trusting its bytes."""

from __future__ import annotations

import re

from workerd.protocol.result import COMPRESSED, Coding
from workerd.protocol.serial import ContentDisallowed, DecodeError, unpack
from workerd.protocol.states import SUCCESS

# Celery and we write the status first; between the two words are at most 7 bytes of pickle's own.
_PICKLED = re.compile(rb"status.{1,8}SUCCESS", re.DOTALL)


def is_success(data: bytes, coding: Coding) -> bool:
    """True when ``data`` is a successful result; False also when it cannot be read."""
    try:
        if coding.serializer != "pickle":
            return coding.decode(data).get("status") == SUCCESS
        # To unpickle is to run code that anyone with access to the server could have put there.
        if data.startswith(COMPRESSED):
            packing, _, packed = data[len(COMPRESSED) :].partition(b"\x00")
            data = unpack(packed, packing.decode("ascii", "replace"))
        return _PICKLED.search(data[:64]) is not None
    except (DecodeError, ContentDisallowed, ValueError):
        return False
