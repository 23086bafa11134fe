-- Ends a lead.
--
-- KEYS: 1 the leads of the group, see `values.lua`.
-- ARGV: the name; the lead.
-- Returns whether it was the current one, as 1 or 0.
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
return redis.call('HDEL', KEYS[1], ARGV[1])
