-- Appends the very last event, unless a run uses the log.
--
-- ARGV: the cost of the event; the event.
-- Returns whether the log is finished, as 1 or 0.
local cost, data = unpack(ARGV)
if redis.call('EXISTS', meta) == 0 or redis.call('HLEN', runs) > 0 then return 0 end
if redis.call('HSETNX', meta, 'finished', 1) == 1 then put(1, cost, data) end
return 1
