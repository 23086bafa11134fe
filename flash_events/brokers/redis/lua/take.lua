-- Makes a worker the holder of a log.
--
-- ARGV: the owner who asks; the worker; ttl in ms.
-- Returns {epoch, the holder before, the runs as names and places in turn}; false if the log is
-- unknown or somebody else's.
local owner, holder, ttl = unpack(ARGV)
local known = redis.call('HMGET', meta, 'epoch', 'owner', 'holder')
if not known[1] or known[2] ~= owner then return false end
redis.call('HSET', meta, 'holder', holder)
renew(ttl)
return {known[1], known[3], redis.call('HGETALL', runs)}
