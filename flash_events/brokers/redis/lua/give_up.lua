-- Notes runs that an owner has stopped before they came.
--
-- KEYS: 1 a sorted set: the runs that the owner has given up, with the time in ms.
-- ARGV: how long they are kept, in ms; how many are kept, the newest; the runs.
-- Returns how many are kept now.
local ttl, most = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for i = 3, #ARGV do redis.call('ZADD', KEYS[1], now, ARGV[i]) end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ttl)
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -most - 1)
redis.call('PEXPIRE', KEYS[1], ttl)
return redis.call('ZCARD', KEYS[1])
