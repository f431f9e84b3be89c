"""Signatures of remote control: who holds ``control.key`` has sent this, just now, and only once.

A signature is a header of the message: ``v1:<Unix time>:<nonce>:<HMAC-SHA256 in hex>`` over that time, the
nonce and the bytes of the body.

Units:  seconds.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from workerd.clock import Clock

HEADER = "x-workerd-signature"
VERSION = "v1"

FRESH = 60.0
"""How far the clocks of two machines may be apart, and a message under way."""

MOST_NONCES = 10_000


def signature(key: str, body: bytes, now: float) -> str:
    """The header for ``body``, sent at the Unix time ``now``."""
    when, nonce = f"{now:.3f}", secrets.token_hex(16)
    return f"{VERSION}:{when}:{nonce}:{_mac(key, when, nonce, body)}"


class Verifier:
    """Checks signatures made with ``key``; each is good once."""

    def __init__(self, key: str, clock: Clock) -> None:
        self._key, self._clock = key, clock
        self._seen: OrderedDict[str, float] = OrderedDict()  # nonce: forget it at, the oldest first

    def problem(self, headers: Mapping[str, Any], body: bytes) -> str:
        """Why this is not signed by somebody who holds the key; empty when it is."""
        found = headers.get(HEADER)
        if not isinstance(found, str):
            return "it is not signed"
        version, when, nonce, mac = (*found.split(":"), "", "", "", "")[:4]
        if version != VERSION or not hmac.compare_digest(
            mac.encode(errors="replace"), _mac(self._key, when, nonce, body).encode()
        ):
            return "its signature is not made with our key"
        now = self._clock.wall()
        if abs(now - float(when)) > FRESH:
            return f"it was signed at another time than now ({float(when):.0f}, and now is {now:.0f})"
        if not self._is_new(nonce, now):
            return "it has come before"
        return ""

    def _is_new(self, nonce: str, now: float) -> bool:
        while self._seen and (next(iter(self._seen.values())) <= now or len(self._seen) > MOST_NONCES):
            self._seen.popitem(last=False)
        if nonce in self._seen:
            return False
        self._seen[nonce] = now + 2 * FRESH
        return True


def _mac(key: str, when: str, nonce: str, body: bytes) -> str:
    return hmac.new(key.encode(), f"{when}:{nonce}:".encode() + body, hashlib.sha256).hexdigest()
