"""The entry of a Redis list with places for what is a call's own: see ``stencil``.

Errors:  those of msgspec's encoder: UnicodeEncodeError for half of a surrogate pair, for one.
"""

from __future__ import annotations

from binascii import b2a_base64

import msgspec

from workerd.protocol.parcel import plain_envelope
from workerd.protocol.stencil import HEADERS, Filled, Stencil, cut

_KEY, _NULL = "envelope", b"null"
_json = msgspec.json.Encoder().encode


def filled_envelope(message: Filled, tag: str) -> bytes:
    """What ``envelope_of`` makes of the same message."""
    stencil, filling = message
    task_id, eta, group, index, root, parent, args, kwargs, reply_to, body = filling
    own = _json(task_id)
    form: bytes = stencil.forms.get(_KEY) or _cut(stencil)
    return form % (
        b2a_base64(body, newline=False),
        own,
        _NULL if eta is None else _json(eta),
        _NULL if group is None else _json(group),
        _NULL if index is None else _json(index),
        own if root == task_id else _json(root),
        _NULL if parent is None else _json(parent),
        _json(args),
        _json(kwargs),
        own,
        _json(reply_to),
        _json(tag),
    )


def _cut(stencil: Stencil) -> bytes:
    marks = stencil.marks
    texts = [_json(mark) for mark in (*marks[: len(HEADERS)], marks.id, marks.reply_to, stencil.tag)]
    places = [b2a_base64(marks.body, newline=False), *texts]
    form = stencil.forms[_KEY] = cut(plain_envelope(stencil.parcel(marks), stencil.tag), places)
    return form
