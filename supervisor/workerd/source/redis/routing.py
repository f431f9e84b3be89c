"""From a message's routing key to its queues, by the tables of exchanges that kombu keeps in Redis.  Pure.

A row of a table is ``routing key, pattern, queue``; the pattern is empty unless the exchange is a topic.
"""

from __future__ import annotations

from collections.abc import Iterable


def queues_for(routing_key: str, rows: Iterable[bytes], separator: str) -> list[str]:
    """The queues to which kombu would send ``routing_key``; what is no row of a table is passed over."""
    found = set()
    for row in rows:
        key, pattern, queue = (*row.decode(errors="replace").split(separator), "", "", "")[:3]
        if queue and (key == routing_key or (pattern and topic_matches(key, routing_key))):
            found.add(queue)
    return sorted(found)


def topic_matches(binding: str, routing_key: str) -> bool:
    """``*`` stands for one word, ``#`` for one or more of them, as in kombu; not by its regular expressions,
    which whoever can write to the broker could make run for ever."""
    words = routing_key.split(".")
    places = {0}  # where the words that are left may begin
    for part in binding.split("."):
        if part == "#":
            places = set(range(min(places) + 1, len(words) + 1)) if places else places
        else:
            places = {at + 1 for at in places if at < len(words) and part in (words[at], words[at] and "*")}
    return len(words) in places
