-- Forgets a log.
--
-- ARGV: the worker that must hold it.
-- Returns the runs that used it, as names and places in turn; {} if another worker holds it.
if redis.call('HGET', meta, 'holder') ~= ARGV[1] then return {} end
local left = redis.call('HGETALL', runs)
redis.call('DEL', log, meta, runs, blocked)
return left
