-- Lets a run write to a log.
--
-- ARGV: the owner who asks; the run; its place; the maximum number of runs; the maximum cost of
--       what waits.
-- Returns the epoch; false if the log is unknown, somebody else's or finished; "full" if one of the
-- limits is reached and the run is not in already.
local owner, run, place, most, most_waiting = unpack(ARGV)
local known = redis.call('HMGET', meta, 'epoch', 'owner', 'finished', 'cost', 'handed')
if not known[1] or known[2] ~= owner or known[3] then return false end
local is_in = redis.call('HEXISTS', runs, run) == 1
local is_full = redis.call('HLEN', runs) >= tonumber(most)
  or tonumber(known[4]) - tonumber(known[5]) > tonumber(most_waiting)
if not is_in and is_full then return 'full' end
join(run, place)
return known[1]
