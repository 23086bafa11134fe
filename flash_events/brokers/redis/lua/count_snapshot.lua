-- Counts a snapshot in, and the oldest ones out while all are larger than the limit together.
--
-- KEYS: 1 a sorted set: the names of all snapshots, with the time in µs; 2 a hash: the size of each
--       in bytes, and `total`, their sum.
-- ARGV: the name; its size; how long snapshots are kept, in ms; the limit in bytes.
-- Returns the names that were counted out, which must be deleted; the new one may be among them.
local name, size, ttl, limit = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local function count_out(one)
  local bytes = redis.call('HGET', KEYS[2], one)
  redis.call('ZREM', KEYS[1], one)
  redis.call('HDEL', KEYS[2], one)
  return redis.call('HINCRBY', KEYS[2], 'total', 0 - (bytes or 0))
end
if redis.call('ZSCORE', KEYS[1], name) then count_out(name) end
for _, old in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - 1000 * ttl)) do count_out(old) end
redis.call('ZADD', KEYS[1], now, name)
redis.call('HSET', KEYS[2], name, size)
local total = redis.call('HINCRBY', KEYS[2], 'total', size)
local dropped = {}
while total > limit do
  local oldest = redis.call('ZRANGE', KEYS[1], 0, 0)[1]
  table.insert(dropped, oldest)
  total = count_out(oldest)
end
redis.call('PEXPIRE', KEYS[1], ttl)
redis.call('PEXPIRE', KEYS[2], ttl)
return dropped
