"""Messages that no worker can run, of every kind, from a seed.

What each of them says is spelled once, as headers and a body; the broker's own wrapping comes after it.
"""

from __future__ import annotations

import base64
import json
import os
import pickle
import random
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from amqp import Message

CALL = b"[[1], {}, {}]"
BIG = 5_000_000
BIG_IN_A_FRAME = 130_850
"""Bytes; on AMQP all headers together must fit into one frame (131,072), and nothing more does here."""
WRONG = (None, True, -1, 1.5, 2**62, "", "x", [], ["x"], {}, {"x": [1]})


@dataclass
class Bad:
    """One message; ``entry`` replaces all of it on Redis where the envelope itself is wrong."""

    number: int
    kind: str
    headers: dict[str, Any]
    body: bytes = CALL
    content_type: Any = "application/json"
    content_encoding: str = "utf-8"
    properties: dict[str, Any] = field(default_factory=dict)
    entry: bytes | None = None

    @property
    def id(self) -> str:
        """Under which a result may stand."""
        return f"bad-{self.number}"

    def as_content(self) -> Message:
        """What is published to RabbitMQ."""
        return Message(
            self.body,
            application_headers=self.headers,
            content_type=self.content_type,
            content_encoding=self.content_encoding,
            message_id=self.id,
            delivery_mode=2,
        )

    def as_entry(self) -> bytes:
        """What lies in a list of Redis."""
        if self.entry is not None:
            return self.entry
        properties = {
            "delivery_tag": f"tag-{self.number}",
            "delivery_info": {"exchange": "", "routing_key": "celery"},
            "body_encoding": "base64",
        }
        envelope = {
            "body": base64.b64encode(self.body).decode(),
            "content-type": self.content_type,
            "content-encoding": self.content_encoding,
            "headers": self.headers,
            "properties": properties | self.properties,
        }
        return json.dumps(envelope).encode()


class Nonsense:
    """``next()`` makes one more, of each kind in turn."""

    def __init__(self, rng: random.Random, broker: str, trap: Path) -> None:
        """``trap`` is a file that comes to be when somebody unpickles."""
        self.rng, self.trap, self.number = rng, trap, 0
        self.kinds: list[Callable[[Bad], object]] = [
            self.no_json,
            self.wrong_types,
            self.missing_headers,
            self.big_header,
            self.nested_body,
            self.nested_headers,
            self.unknown_task,
            self.unknown_content_type,
            self.unknown_encoding,
            self.pickled,
            self.protocol_1,
            self.bad_compression,
            self.no_call,
            self.wrong_arguments,
            self.odd_text,
        ]
        if broker == "redis":
            self.kinds += [self.bad_base64, self.no_envelope, self.damaged_envelope, self.nested_envelope]
        else:
            self.kinds += [self.amqp_types, self.deep_table, self.unreadable_properties]
        self.most = BIG if broker == "redis" else BIG_IN_A_FRAME
        self.deepest = 50_000 if broker == "redis" else 300

    def next(self) -> Bad:
        kind = self.kinds[self.number % len(self.kinds)]
        bad = Bad(self.number, kind.__name__, {"task": "ledger.boom", "id": f"bad-{self.number}"})
        self.number += 1
        kind(bad)
        return bad

    # -- anywhere ------------------------------------------------------------------------------------

    def no_json(self, bad: Bad) -> None:
        bad.body = self.rng.randbytes(self.rng.randrange(1, 200))
        if self.rng.random() < 0.5:
            bad.headers = {}

    def wrong_types(self, bad: Bad) -> None:
        name = self.rng.choice(("task", "id", "eta", "expires", "retries", "timelimit", "compression"))
        bad.headers = {**bad.headers, name: self.rng.choice(([1], {"x": 1}, [None, [2]], ["x", "y", "z"]))}

    def missing_headers(self, bad: Bad) -> None:
        bad.headers.pop(self.rng.choice(("task", "id")))
        if self.rng.random() < 0.3:
            bad.headers = {}

    def big_header(self, bad: Bad) -> None:
        name = self.rng.choice(("task", "eta", "expires", "shadow", "tenant", "argsrepr"))
        bad.headers[name] = "x" * self.most

    def nested_body(self, bad: Bad) -> None:
        depth = self.rng.choice((900, 2000, 100_000))
        opening, closing = self.rng.choice(((b"[", b"]"), (b'{"a":', b"}")))
        bad.body = opening * depth + b"1" + closing * depth

    def nested_headers(self, bad: Bad) -> None:
        value: Any = 1
        for _ in range(200):
            value = [value] if self.rng.random() < 0.5 else {"x": value}
        bad.headers[self.rng.choice(("task", "id", "eta"))] = value

    def unknown_task(self, bad: Bad) -> None:
        bad.headers["task"] = self.rng.choice(("ledger.gone", "ledger", "os.system", "LEDGER.RUN", " "))

    def unknown_content_type(self, bad: Bad) -> None:
        bad.content_type = self.rng.choice(("application/x-nothing", "text/", "application/xml", "\x00"))

    def unknown_encoding(self, bad: Bad) -> None:
        bad.content_encoding = self.rng.choice(("utf-99", "rot13", "", "utf-16"))
        bad.body = b"\xff\xfe" + self.rng.randbytes(8)

    def pickled(self, bad: Bad) -> None:
        bad.content_type, bad.content_encoding = "application/x-python-serialize", "binary"
        bad.body = pickle.dumps(([Trap(self.trap)], {}, {}))

    def protocol_1(self, bad: Bad) -> None:
        """Some of them can be read; what they call does not exist, or takes no such arguments."""
        call = {"task": "ledger.boom", "id": bad.id, "args": [1, 2, 3, 4], "kwargs": {}}
        name = self.rng.choice(("task", "id", "args", "kwargs", "eta", "retries", "right", "gone"))
        if name == "gone":
            call["task"] = "ledger.gone"
        elif name != "right":
            call[name] = self.rng.choice(([[1]], {"x": 1}, 7.5))
        bad.headers, bad.body = {}, json.dumps(call).encode()

    def bad_compression(self, bad: Bad) -> None:
        bad.headers["compression"] = self.rng.choice(("gzip", "application/x-gzip", "bzip2", "nothing"))
        bad.body = self.rng.choice((b"", CALL, zlib.compress(CALL)[:-3]))

    def no_call(self, bad: Bad) -> None:
        bad.body = self.rng.choice(
            (b"{}", b"[]", b"null", b"7", b'"x"', b"[[1], {}]", b"[1, 2, 3]", b"[[], [], {}]", b"", b"NaN")
        )

    def wrong_arguments(self, bad: Bad) -> None:
        args = self.rng.choice(WRONG)
        bad.body = json.dumps(
            [[args, args, args], {"x": args}, self.rng.choice((None, {}, {"chain": 7}))]
        ).encode()

    def odd_text(self, bad: Bad) -> None:
        bad.headers["task"] = self.rng.choice(("\u0000", "\ud800", "\u202e", "\x1b[31m", "a\nb", "%s%n"))
        bad.headers["argsrepr"] = "\udfff" * 3

    # -- in an envelope of Redis -----------------------------------------------------------------------

    def bad_base64(self, bad: Bad) -> None:
        envelope = json.loads(bad.as_entry())
        envelope["body"] = self.rng.choice(("!", "A", "\u00e4" * 4, "QUJD" * 3 + "=", 7, None, ["x"]))
        if self.rng.random() < 0.2:
            envelope["properties"]["body_encoding"] = "base65"
        bad.entry = json.dumps(envelope).encode()

    def no_envelope(self, bad: Bad) -> None:
        bad.entry = self.rng.choice((b"", b"{", b"\xff\xfe\x00", b"null", b"[]", b"7", b'{"a": 1}'))
        bad.entry += b" " * bad.number  # so that no two are the same

    def damaged_envelope(self, bad: Bad) -> None:
        """Cut off, or without one of its parts, or with something else in its place."""
        whole = bad.as_entry()
        if self.rng.random() < 0.3:
            bad.entry = whole[: self.rng.randrange(20, len(whole) - 1)]
            return
        envelope = json.loads(whole)
        name = self.rng.choice(("body", "headers", "properties"))
        if self.rng.random() < 0.5:
            del envelope[name]
        else:
            envelope[name] = self.rng.choice((7, "x", [1], None))
        bad.entry = json.dumps(envelope | {"number": bad.number}).encode()

    def nested_envelope(self, bad: Bad) -> None:
        depth = self.rng.choice((900, 5000, 100_000))
        bad.entry = b'{"number": %d, "headers": ' % bad.number + b'{"a":' * depth + b"1" + b"}" * depth + b"}"

    # -- in a table of AMQP ----------------------------------------------------------------------------

    def amqp_types(self, bad: Bad) -> None:
        """Types that JSON does not have, where they are read, and where they are only carried."""
        value = self.rng.choice(
            (Decimal("1.5"), datetime(2020, 1, 1, tzinfo=UTC).replace(tzinfo=None), b"\xff")
        )
        bad.headers[self.rng.choice(("eta", "id", "tenant"))] = value
        bad.headers["task"] = "ledger.gone"

    def deep_table(self, bad: Bad) -> None:
        value: Any = 1
        for _ in range(self.rng.choice((60, 150, 700, 3000))):
            value = {"x": value}
        bad.headers["tenant"] = value
        bad.headers["task"] = "ledger.gone"

    def unreadable_properties(self, bad: Bad) -> None:
        """Text that is no UTF-8, a time beyond all calendars."""
        if self.rng.random() < 0.5:
            bad.content_type = b"\xff\xfe"
        else:
            bad.headers["tenant"] = _Far(2020, 1, 1)


class _Far(datetime):
    """What py-amqp writes as a time that lies behind all calendars."""

    def utctimetuple(self) -> Any:
        return (1970, 1, 1, 10**15, 0, 0)


class Trap:
    """Whoever unpickles it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


class deep:  # noqa: N801 (used as a word: ``with deep():``)
    """Room to write and to compare what is nested deeply."""

    def __enter__(self) -> None:
        self._before = sys.getrecursionlimit()
        sys.setrecursionlimit(50_000)

    def __exit__(self, *_: object) -> None:
        sys.setrecursionlimit(self._before)
