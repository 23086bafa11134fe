-- Notes in its log where a run is that has just been claimed.
--
-- ARGV: the run; its place; the nonce of the claim.
-- Returns whether there is a log, as 1 or 0.
local run, place, nonce = unpack(ARGV)
if redis.call('EXISTS', meta) == 0 then return 0 end
redis.call('HSET', runs, run, place)
redis.call('HSET', meta, 'c:' .. run, nonce)
redis.call('PEXPIRE', runs, redis.call('PTTL', meta))
return 1
