-- Ends a run for its worker, whose attempt is over.
--
-- ARGV: the run; the place where it is expected, "" for any; the cost of its last event; the event;
--       a nonce of the call, by which one that is sent twice is recognised.
-- Returns the holder; false if there is no log, the run has left it, or is at another place.
local run, expected, cost, data, nonce = unpack(ARGV)
local place = redis.call('HGET', runs, run)
local holder = redis.call('HGET', meta, 'holder')
if holder and redis.call('HGET', meta, 'e:' .. run) == nonce then return holder end
if not place or not holder or (expected ~= '' and place ~= expected) then return false end
remove(run)
redis.call('HINCRBY', meta, 'a:' .. run, 1)
redis.call('HSET', meta, 'e:' .. run, nonce)
put(1, cost, data)
return holder
