-- Removes a run that was not started, and the log itself if this start has created it.
--
-- ARGV: the run; the place with which it has joined; the owner; the nonce of its claim, "" for
--       none; the worker that withdraws.
-- Returns the holder if the run was removed; false if it was not in, or another request has
-- claimed it.
local run, place, owner, nonce, worker = unpack(ARGV)
local known = redis.call('HMGET', meta, 'owner', 'holder', 'last', 'c:' .. run)
if known[1] ~= owner or redis.call('HGET', runs, run) ~= place then return false end
if known[4] and known[4] ~= nonce then return false end
remove(run)
if known[3] == '0' and known[2] == worker and redis.call('HLEN', runs) == 0 then
  redis.call('DEL', meta, blocked)
end
return known[2]
