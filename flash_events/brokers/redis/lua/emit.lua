-- Appends events of a run that was adopted, if there is room.
--
-- ARGV: the run; its worker; its attempt; the number of this append, counted by the attempt; the
--       place that the run has afterwards, "" for the same; the maximum cost of what waits; the
--       cost of the events; how many they are; their bytes.
-- Returns {holder, 1 if they were appended or 0, 1 if the holder must be told or 0}; the holder had
-- read all before, or room is wanted. Returns false if the log's writers were cancelled, or the run
-- has ended or was taken over.
local run, worker, attempt, number, place, limit, cost, count, data = unpack(ARGV)
local known = redis.call('HMGET', meta, 'holder', 'handed', 'cost', 'stopped', 'a:' .. run,
  'w:' .. run .. ':' .. attempt, 'read')
if not known[1] or known[4] or known[5] ~= attempt then return false end
if tonumber(number) <= tonumber(known[6] or 0) then return {known[1], 1, 1} end
if redis.call('HGET', runs, run) ~= worker then return false end
local waiting = tonumber(known[3]) - tonumber(known[2])
local has_read = known[3] == known[7] and 1 or 0
if waiting > 0 and waiting + tonumber(cost) > tonumber(limit) then
  redis.call('SADD', blocked, worker)
  redis.call('PEXPIRE', blocked, redis.call('PTTL', meta))
  return {known[1], 0, has_read}
end
redis.call('HSET', meta, 'w:' .. run .. ':' .. attempt, number)
put(count, cost, data)
if place ~= '' then redis.call('HSET', runs, run, place) end
return {known[1], 1, has_read}
