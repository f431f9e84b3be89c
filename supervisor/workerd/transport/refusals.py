"""What a Redis server's refusal means, in words.  Pure.

Source: the codes with which replies of Redis and Valkey begin; a script's may have other words before them.
"""

from __future__ import annotations

import re

MEANINGS = {
    "READONLY": "is a read-only replica",
    "OOM": "has reached its maxmemory and takes nothing more",
    "LOADING": "is still loading its data",
    "MISCONF": "cannot write its data to disk and takes no changes",
    "MASTERDOWN": "is a replica that has lost its master",
    "NOREPLICAS": "has too few replicas to take changes",
    "CLUSTERDOWN": "is a cluster that is down",
    "MOVED": "is a node of a cluster, which is not supported",
    "invalid bulk length": "takes nothing of that size",
    "CROSSSLOT": "is a node of a cluster, which is not supported",
    "BUSY": "is busy with a script that does not end",
    "NOAUTH": "wants a password",
    "WRONGPASS": "does not know this user with this password",
    "NOPERM": "does not permit this user all that is needed",
}

_CODE = re.compile(rf"\b({'|'.join(MEANINGS)})\b")
_TRAIL = re.compile(r",? (?:script: [0-9a-f]{40}|on @user_script:\d+).*", re.DOTALL)


def refusal(server: str, error: object) -> str:
    """``error`` of ``server`` in one sentence, its meaning first where it is known."""
    text = _TRAIL.sub("", str(error)).strip().partition(". ")[0].rstrip(".")
    code = _CODE.search(text)
    return f"{server} {MEANINGS[code[1]]} ({text})" if code is not None else f"{server} refused: {text}"
