-- What the scripts of a group of values share; it is put before each of them.
--
-- KEYS of each of them, all with the hash tag of the group; all of them by name:
--   1 values    a hash.
--   2 used      a sorted set: the names, with the time of the last use in µs.
--   3 expiring  a sorted set: the names of values that expire, with the time in µs.
--   4 bytes     the total size of the values.
--   5 puts      a hash: the nonces of the puts, so that one that is sent twice is recognised.
--   6 leads     a hash: `<worker> <token>` of who computes a value.
-- The first five expire with their last value, the leads if no worker renews them.

local values, used, expiring, bytes, puts, leads = unpack(KEYS)

local function time_now()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

local function remove(name)
  redis.call('DECRBY', bytes, redis.call('HSTRLEN', values, name))
  redis.call('HDEL', values, name)
  redis.call('ZREM', used, name)
  redis.call('ZREM', expiring, name)
  redis.call('HDEL', puts, name)
end

local function remove_all()
  redis.call('DEL', values, used, expiring, bytes, puts)
end

