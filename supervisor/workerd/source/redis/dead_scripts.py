"""The Lua scripts of who looks into dead letters, an operator now and then; by the rules of ``scripts``."""

from __future__ import annotations

from workerd.source.redis.scripts import Script

REQUEUE = Script(
    """
-- KEYS: the list of the dead, the list of the queue.  ARGV: entry, message.  Answer: 1 if it was there.
redis.call('LLEN', KEYS[2])
local held = redis.call('LREM', KEYS[1], -1, ARGV[1])
if held == 1 then redis.call('LPUSH', KEYS[2], ARGV[2]) end
return held
"""
)

PURGE = Script(
    """
-- KEYS: the list of the dead, the names of such queues.  ARGV: queue.  Answer: how many there were.
local count = redis.call('LLEN', KEYS[1])
redis.call('SREM', KEYS[2], ARGV[1])
redis.call('DEL', KEYS[1])
return count
"""
)
