-- Marks a value as used now.
--
-- ARGV: its name.
-- Returns how many values were marked.
if redis.call('HEXISTS', values, ARGV[1]) == 0 then return 0 end
redis.call('ZADD', used, time_now(), ARGV[1])
return 1
