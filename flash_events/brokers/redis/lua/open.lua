-- Creates a log, and lets a run write to it.
--
-- ARGV: epoch for a new log; its owner; the worker that is to hold it; ttl in ms; the run; the
--       run's place; "1" to take the log from another holder, or "0".
-- Returns the log's epoch; false if it is somebody else's; "held" if it exists and another worker
-- holds it, and nothing was changed.
local epoch, owner, holder, ttl, run, place, force = unpack(ARGV)
local known = redis.call('HMGET', meta, 'epoch', 'owner', 'holder')
if known[1] then
  if known[2] ~= owner then return false end
  if known[3] ~= holder and force ~= '1' then return 'held' end
  epoch = known[1]
else
  redis.call('HSET', meta, 'epoch', epoch, 'owner', owner, 'last', 0, 'cost', 0, 'bytes', 0,
    'handed', 0)
end
redis.call('HSET', meta, 'holder', holder)
redis.call('PEXPIRE', meta, ttl)
join(run, place)
return epoch
