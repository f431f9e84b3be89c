"""The Lua scripts of the Redis source.

Rules that each of them keeps:

- It never decodes a message: cjson turns ``[]`` into ``{}`` and breaks long integers.
- It has no command that reads, save where that is rare, because a read makes the declared keys tracked,
  and then every change of the in-flight store would wake every node.  ``HDEL key ''`` stands where a check
  of a key's type is needed: it fails on a wrong type and changes nothing.  For a list a probe is pushed and
  popped (``RPOP key 0`` sees no type before Redis 7.0).
- Redis does not undo a script that fails half-way, so whatever can fail comes before the first change.
- Under ``maxmemory`` a script may go on once it has called a command that needs no memory.
- It unpacks ``CHUNK`` values at most: Lua's stack holds some thousands, and others wait while it runs.
"""

from __future__ import annotations

from hashlib import sha1

import msgspec

CHUNK = 1000


class Script(msgspec.Struct, frozen=True):
    """A script and the digest by which the server knows it."""

    text: str
    sha: str = ""

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(
            self, "sha", sha1(self.text.encode(), usedforsecurity=False).hexdigest()
        )


_CHECK = """
redis.call('HDEL', KEYS[1], '')
redis.call('ZREM', KEYS[2], '')
"""

_PROBE = (
    _CHECK
    + """
local function probe(list)
  redis.call('RPUSH', list, '')
  redis.call('RPOP', list)
end
"""
)

FETCH = Script(
    _CHECK
    + """
-- KEYS: in flight, its index, then the lists in the order of service.
-- ARGV: room, score, tag prefix, first number, lists a level, then what follows a message of each list.
-- Answer: {list number, {message, ...}} for each pop that found something.
local room, score, number = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[4])
local width = tonumber(ARGV[5])
local found, entries, scores = {}, {}, {}

local function take(i, most)
  local raws = redis.pcall('RPOP', KEYS[i], most)
  if not raws then return end
  if raws.err then
    found[#found + 1] = {i - 2, raws.err}
    return
  end
  for _, raw in ipairs(raws) do
    local tag = ARGV[3] .. string.format('%.0f', number)
    number = number + 1
    entries[#entries + 1] = tag
    entries[#entries + 1] = '[' .. raw .. ARGV[i + 3]
    scores[#scores + 1] = score
    scores[#scores + 1] = tag
  end
  found[#found + 1] = {i - 2, raws}
  room = room - #raws
end

for first = 3, #KEYS, width do
  local share = math.ceil(room / width)
  for pass = 1, width > 1 and 2 or 1 do
    for i = first, first + width - 1 do
      if room > 0 then take(i, pass == 1 and math.min(share, room) or room) end
    end
  end
end
if #entries > 0 then
  redis.call('HSET', KEYS[1], unpack(entries))
  redis.call('ZADD', KEYS[2], unpack(scores))
end
return found
"""
)

SETTLE = Script(
    """
-- KEYS: in flight, its index.  ARGV: tags.  Not MULTI: a server short of memory would refuse to queue it.
-- Answer: the places of the tags that were not in flight any more, from 1.
local gone = {}
for i = 1, #ARGV do
  if redis.call('HDEL', KEYS[1], ARGV[i]) == 0 then gone[#gone + 1] = i end
end
redis.call('ZREM', KEYS[2], unpack(ARGV))
return gone
"""
)

GIVE_BACK = Script(
    _PROBE
    + """
-- KEYS: in flight, its index, then lists.  ARGV: tag, number of its list's key, message, and so on.
-- Answer: as SETTLE's.
for i = 3, #KEYS do probe(KEYS[i]) end
local gone = {}
for i = 1, #ARGV, 3 do
  if redis.call('HDEL', KEYS[1], ARGV[i]) == 1 then
    redis.call('ZREM', KEYS[2], ARGV[i])
    redis.call('RPUSH', KEYS[tonumber(ARGV[i + 1])], ARGV[i + 2])
  else
    gone[#gone + 1] = (i + 2) / 3
  end
end
return gone
"""
)

PUT_ASIDE = Script(
    _PROBE
    + """
-- KEYS: in flight, its index, the list of the dead, the names of such queues.  ARGV: tag, entry, queue.
-- Answer: as SETTLE's.
probe(KEYS[3])
redis.call('SREM', KEYS[4], '')
if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 then return {1} end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('LPUSH', KEYS[3], ARGV[2])
redis.call('SADD', KEYS[4], ARGV[3])
return {}
"""
)

PARK = Script(
    _CHECK
    + """
-- KEYS: in flight, its index, the delayed.  ARGV: tag, ETA, entry of the delayed, and so on.
-- Answer: as SETTLE's.
redis.call('ZREM', KEYS[3], '')
local gone = {}
for i = 1, #ARGV, 3 do
  if redis.call('HDEL', KEYS[1], ARGV[i]) == 1 then
    redis.call('ZREM', KEYS[2], ARGV[i])
    redis.call('ZADD', KEYS[3], ARGV[i + 1], ARGV[i + 2])
  else
    gone[#gone + 1] = (i + 2) / 3
  end
end
return gone
"""
)

MOVE = Script(
    """
-- KEYS: the delayed.  ARGV: messages at most, seconds until a list that cannot be written to is tried again,
-- 'all' for those too that are not due.  The lists are not declared: which they are, the entries tell.
-- An entry is the length of its list's name, a word that is its own, the name, and the message.
-- Answer: how many were moved, how many are left, the time, the ETA of the next, and what was refused.
-- It reads each second, but the delayed change only when something is parked, or comes to be due.
redis.call('ZREM', KEYS[1], '')
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local until_ = ARGV[3] == 'all' and '+inf' or string.format('%.6f', now)
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', until_, 'LIMIT', 0, ARGV[1])
local moved, problem = 0, ''
-- To the heads of their lists, so that the one that was due first is the next to be fetched.
for i = #due, 1, -1 do
  local size, from = string.match(due[i], '^(%d+) %S+ ()')
  local pushed = {err = 'an entry cannot be read'}
  if size then
    local name = string.sub(due[i], from, from + size - 1)
    pushed = redis.pcall('RPUSH', name, string.sub(due[i], from + size))
  end
  if type(pushed) == 'table' and pushed.err then
    problem = pushed.err
    redis.call('ZADD', KEYS[1], string.format('%.6f', now + ARGV[2]), due[i])
  else
    redis.call('ZREM', KEYS[1], due[i])
    moved = moved + 1
  end
end
local next_ = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2] or ''
return {moved, redis.call('ZCARD', KEYS[1]), string.format('%.6f', now), next_, problem}
"""
)

TALLY = Script(
    """
-- KEYS: the delayed.  ARGV: the first and the last place.
-- Answer: names of lists, each with the number of messages for it.
local counts, answer = {}, {}
for _, entry in ipairs(redis.call('ZRANGE', KEYS[1], ARGV[1], ARGV[2])) do
  local size, from = string.match(entry, '^(%d+) %S+ ()')
  local name = size and string.sub(entry, from, from + size - 1) or '?'
  counts[name] = (counts[name] or 0) + 1
end
for name, count in pairs(counts) do
  answer[#answer + 1] = name
  answer[#answer + 1] = count
end
return answer
"""
)

LEASES = Script(
    """
-- ARGV: leases.  They are not declared, so that they are not tracked: else each renewal would wake every
-- node, and Redis before 7.0 puts the news of one that has expired into the middle of the answer.
-- Answer: 1 for each that is there, 0 for each that is not.
local found = {}
for i = 1, #ARGV do found[i] = redis.call('EXISTS', ARGV[i]) end
return found
"""
)

TAKE = Script(
    _PROBE
    + """
-- KEYS: in flight, its index, the owner's lease, then lists.  ARGV: as GIVE_BACK's.
-- Answer: how many were still in flight; -1 when the owner lives after all.  It reads, but few run it.
if redis.call('EXISTS', KEYS[3]) == 1 then return -1 end
for i = 4, #KEYS do probe(KEYS[i]) end
local taken = 0
for i = 1, #ARGV, 3 do
  if redis.call('HDEL', KEYS[1], ARGV[i]) == 1 then
    redis.call('ZREM', KEYS[2], ARGV[i])
    redis.call('RPUSH', KEYS[tonumber(ARGV[i + 1])], ARGV[i + 2])
    taken = taken + 1
  end
end
return taken
"""
)

RESTORE = Script(
    _PROBE
    + """
-- KEYS: in flight, its index, then lists.
-- ARGV: score, then tag, numbers of its lists' keys, message, and so on.
-- Answer: how many were still in flight, with a lower score: one that is delivered again has a new one.
for i = 3, #KEYS do probe(KEYS[i]) end
local restored = 0
for i = 2, #ARGV, 3 do
  if redis.call('ZADD', KEYS[2], 'XX', 'GT', 'CH', ARGV[1], ARGV[i]) == 1
    and redis.call('HDEL', KEYS[1], ARGV[i]) == 1 then
    redis.call('ZREM', KEYS[2], ARGV[i])
    for number in string.gmatch(ARGV[i + 1], '%d+') do
      redis.call('RPUSH', KEYS[tonumber(number)], ARGV[i + 2])
    end
    restored = restored + 1
  end
end
return restored
"""
)

RENEW = Script(
    _CHECK
    + """
-- KEYS: in flight, its index, the lease, the owners, the counts of deaths.
-- ARGV: lease in milliseconds, score, the owner, milliseconds for which the last two stay, then tags.
-- Answer: 1 when the lease was still there, then how many of the tags are.
local held = redis.call('SET', KEYS[3], ARGV[2], 'PX', ARGV[1], 'GET')
if redis.call('SADD', KEYS[4], ARGV[3]) == 1 then redis.call('PEXPIRE', KEYS[4], ARGV[4]) end
redis.call('PEXPIRE', KEYS[5], ARGV[4])
local here = 0
if #ARGV > 4 then
  local scores = {}
  for i = 5, #ARGV do
    scores[#scores + 1] = ARGV[2]
    scores[#scores + 1] = ARGV[i]
  end
  here = redis.call('ZADD', KEYS[2], 'XX', 'CH', unpack(scores))
end
return {held and 1 or 0, here}
"""
)
