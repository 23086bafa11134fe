-- Removes members that have entered through a worker.
--
-- KEYS: 1 the members, 2 the number of the last one, as in `enter.lua`.
-- ARGV: the worker; the members.
-- Returns how many members are left.
for i = 2, #ARGV do
  local known = redis.call('HGET', KEYS[1], ARGV[i])
  if known and string.match(known, '^%d+ %d+ (%S+) ') == ARGV[1] then
    redis.call('HDEL', KEYS[1], ARGV[i])
  end
end
local left = redis.call('HLEN', KEYS[1])
if left == 0 then redis.call('DEL', KEYS[2]) end
return left
