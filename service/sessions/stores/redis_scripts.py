"""What the Redis store does within Redis: each script is one atomic step on the keys of one session, or of one owner.

A session is a hash `{prefix:session_id}`: o(wner's digest), e(poch), r(evision), c(reated, ms), t(tl, ms), d(ata),
s(ummary), x (deleted), n (the id of the newest claim). Every answer carries the session id that was asked for: a reply
that is another caller's shows.
An owner has two sorted sets, `{prefix:owner:digest}:made` (by creation) and `…:ends` (by end, to clear the other one).
"""

FOUND, MISSING, FENCED = 1, 0, 2
"""The first value of each answer."""

_MINE = """
local key, id, owner = KEYS[1], ARGV[1], ARGV[2]
local o, e, r, c, t, x = unpack(redis.call('HMGET', key, 'o', 'e', 'r', 'c', 't', 'x'))
if o ~= owner or x then return {0, id} end
"""

_MY_EPOCH = f"""{_MINE}
if e ~= ARGV[3] then return {{2, id}} end
"""

# ARGV: id, owner, epoch, revision, ttl_ms, summary, has data, data
CREATE = """
local key, id, owner = KEYS[1], ARGV[1], ARGV[2]
local o, x = unpack(redis.call('HMGET', key, 'o', 'x'))
if o == owner and not x then return {2, id} end
if o then return {0, id} end
local now = redis.call('TIME')
local made = now[1] .. string.format('%03d', math.floor(tonumber(now[2]) / 1000))
redis.call('HSET', key, 'o', owner, 'e', ARGV[3], 'r', ARGV[4], 'c', made, 't', ARGV[5], 's', ARGV[6])
if ARGV[7] == '1' then redis.call('HSET', key, 'd', ARGV[8]) end
redis.call('PEXPIRE', key, ARGV[5])
return {1, id, made, ARGV[5]}
"""

# ARGV: id, owner, the claim's id
CLAIM = f"""{_MINE}
local epoch = e
if ARGV[3] == '' or redis.call('HGET', key, 'n') ~= ARGV[3] then
    epoch = redis.call('HINCRBY', key, 'e', 1)
    redis.call('HSET', key, 'n', ARGV[3])
end
redis.call('PEXPIRE', key, t)
return {{1, id, c, t, epoch, r, redis.call('HGET', key, 'd')}}
"""

# ARGV: id, owner, epoch, revision, ttl_ms, summary, data
SAVE = f"""{_MY_EPOCH}
if tonumber(ARGV[4]) >= tonumber(r) then
    redis.call('HSET', key, 'r', ARGV[4], 's', ARGV[6], 'd', ARGV[7])
    r = ARGV[4]
end
redis.call('HSET', key, 't', ARGV[5])
redis.call('PEXPIRE', key, ARGV[5])
return {{1, id, c, ARGV[5], r}}
"""

# ARGV: id, owner, epoch, ttl_ms
TOUCH = f"""{_MY_EPOCH}
redis.call('HSET', key, 't', ARGV[4])
redis.call('PEXPIRE', key, ARGV[4])
return {{1, id, c, ARGV[4]}}
"""

# ARGV: id, owner, remember_ms
DELETE = f"""{_MINE}
redis.call('HDEL', key, 'd', 's')
redis.call('HSET', key, 'x', '1')
redis.call('PEXPIRE', key, ARGV[3])
return {{1, id, c, t}}
"""

# ARGV: id, owner
DESCRIBE = f"""{_MINE}
local now = redis.call('TIME')
local size, left = redis.call('HSTRLEN', key, 'd'), redis.call('PTTL', key)
return {{1, id, c, t, e, r, size, now[1], now[2], left, redis.call('HGET', key, 's'),
    redis.call('HGET', key, 'n') or ''}}
"""

# KEYS: made, ends. ARGV: member, keep_ms. An entry outlives its session; those that are over go, a hundred at a time.
NOTE = """
local now = redis.call('TIME')
local now_ms = now[1] * 1000 + now[2] / 1000
redis.call('ZADD', KEYS[1], 0, ARGV[1])
redis.call('ZADD', KEYS[2], string.format('%.0f', now_ms + tonumber(ARGV[2])), ARGV[1])
for _, over in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now_ms), 'LIMIT', 0, 100)) do
    redis.call('ZREM', KEYS[1], over)
    redis.call('ZREM', KEYS[2], over)
end
for _, key in ipairs(KEYS) do
    if redis.call('PTTL', key) < tonumber(ARGV[2]) then redis.call('PEXPIRE', key, ARGV[2]) end
end
return 1
"""
