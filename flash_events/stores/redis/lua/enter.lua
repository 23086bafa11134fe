-- Adds a member, or replaces its worker and data.
--
-- KEYS: 1 a hash: the members of the group by id, as `<number> <time of entering in µs> <worker>
--       <data>`; 2 a string: the number of the last one.
-- ARGV: the member; its worker; its data; for how long the group is kept without a renewal, in ms.
-- Returns the member's number.
local member, worker, data, ttl = unpack(ARGV)
local known = redis.call('HGET', KEYS[1], member)
local number, since
if known then
  number, since = string.match(known, '^(%d+) (%d+) ')
else
  local time = redis.call('TIME')
  number = redis.call('INCR', KEYS[2])
  since = string.format('%.0f', time[1] * 1000000 + time[2])
end
redis.call('HSET', KEYS[1], member, number .. ' ' .. since .. ' ' .. worker .. ' ' .. data)
redis.call('PEXPIRE', KEYS[1], ttl)
redis.call('PEXPIRE', KEYS[2], ttl)
return tonumber(number)
