"""The frames of a publish with places for what is a call's own: see ``stencil``.

Errors:  those of ``amqp_content``, and those of a text that is none.
"""

from __future__ import annotations

import struct
from typing import Any

from workerd.protocol.amqp_content import (
    BODY,
    END,
    HEADER,
    OVERHEAD,
    content_header,
    header_start,
    method_frame,
    publish_frames,
    short,
    written,
)
from workerd.protocol.stencil import HEADERS, Filled, Filling, Stencil, cut

_START = struct.Struct(">IHHQ")
"""Of a header frame: its size; class, weight and length of the body, which are of what is in it."""
_SIZE, _FRAME = struct.Struct(">I"), struct.Struct(">BH")
_BASIC, _LENGTHS = 60, 12
_VOID = b"V"


def filled_frames(message: Filled, channel: int, frame_max: int) -> list[bytes]:
    """What ``publish_frames`` makes of the same message."""
    stencil, filling = message
    most = frame_max - OVERHEAD
    if 0 < len(filling.body) <= most:
        form = stencil.forms.get(channel) or stencil.forms.setdefault(channel, _Form(stencil, channel))
        if frames := form.filled(filling, most):
            return [frames]
    return publish_frames(stencil.parcel(filling), channel, frame_max)


class _Form:
    """Method, header and one frame of body, for one channel."""

    def __init__(self, stencil: Stencil, channel: int) -> None:
        marks = stencil.marks
        marked = stencil.parcel(marks)
        header, table = content_header(marked), len(header_start(marked))
        places = [written(mark) for mark in marks[: len(HEADERS)]]
        ends = [short(marks.id), short(marks.reply_to)]
        self._table: int = _SIZE.unpack_from(header, table)[0] - sum(map(len, places))
        self._header = len(header) - sum(map(len, places + ends))
        method = method_frame(marked.exchange, marked.routing_key, channel)
        parts = [
            cut(method + _FRAME.pack(HEADER, channel), ()),
            cut(header[_LENGTHS:table], ()),
            cut(header[table + _SIZE.size :], places + ends) + cut(END + _FRAME.pack(BODY, channel), ()),
            b"%b" + END,
        ]
        self._format = b"%b".join(parts)

    def filled(self, filling: Filling, most: int) -> bytes:
        """All frames; empty when the header has more than ``most`` bytes."""
        task_id, eta, group, index, root, parent, args, kwargs, reply_to, body = filling
        own, answers, size = _text(task_id), short(reply_to), len(body)
        fields = (
            own,
            _VOID if eta is None else _text(eta),
            _VOID if group is None else _text(group),
            _VOID if index is None else written(index),
            own if root == task_id else _text(root),
            _VOID if parent is None else _text(parent),
            _text(args),
            _text(kwargs),
        )
        correlation, taken = short(task_id), sum(map(len, fields))
        header = self._header + taken + len(correlation) + len(answers)
        if header > most:
            return b""
        start, table = _START.pack(header, _BASIC, 0, size), _SIZE.pack(self._table + taken)
        return self._format % (start, table, *fields, correlation, answers, _SIZE.pack(size), body)


def _text(value: Any) -> bytes:
    if type(value) is not str:
        return written(value)
    data = value.encode("utf-8", "surrogatepass")
    return b"S%b%b" % (_SIZE.pack(len(data)), data)
