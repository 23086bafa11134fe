-- Keeps a log for as long again.
--
-- ARGV: the worker that must hold it; ttl in ms.
-- Returns its runs, as names and places in turn; false if another worker holds it.
if redis.call('HGET', meta, 'holder') ~= ARGV[1] then return false end
renew(ARGV[2])
return redis.call('HGETALL', runs)
