-- Cancels the writers of a log.
--
-- ARGV: none.
-- Returns the workers that wait for room.
if redis.call('EXISTS', meta) == 0 then return {} end
redis.call('HSET', meta, 'stopped', 1)
return redis.call('SMEMBERS', blocked)
