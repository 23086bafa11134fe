-- Reads what follows an event, and notes what was handed over.
--
-- ARGV: the worker that reads; cost of what it has handed over; number of the event; maximum number
--       of entries; maximum of their bytes, and one entry more; the first number that must stay
--       replayable, "" for no change.
-- Returns {number of the last event, "1" if the log is finished or "", entries, the runs as names
-- and places in turn, workers that must be told of room, cost of all that was ever appended, cost
-- of all that was handed over, how many workers still wait for room}; false if there is no log, or
-- another worker holds it. A holder that has got everything waits until it is told of more.
local holder, handed, after, count, most_bytes, keep = unpack(ARGV)
local known = redis.call('HMGET', meta, 'epoch', 'holder', 'handed', 'last', 'finished', 'cost')
if not known[1] or known[2] ~= holder then return false end
if tonumber(after) == tonumber(known[4]) then handed = known[6] end
local told = {}
if tonumber(handed) > tonumber(known[3]) then
  redis.call('HSET', meta, 'handed', handed)
  known[3] = handed
  told = redis.call('SMEMBERS', blocked)
  redis.call('DEL', blocked)
end
if keep ~= '' then redis.call('XTRIM', log, 'MINID', known[1] .. '-' .. keep) end
local entries = redis.call('XRANGE', log, '(' .. known[1] .. '-' .. after, '+', 'COUNT', count)
local size, most = 0, tonumber(most_bytes)
for i, entry in ipairs(entries) do
  if size > most then entries[i] = nil else size = size + #entry[2][8] end
end
local read = #entries == 0 and known[1] .. '-' .. after or entries[#entries][1]
if read == known[1] .. '-' .. known[4] then redis.call('HSET', meta, 'read', known[6]) end
return {known[4], known[5] or '', entries, redis.call('HGETALL', runs), told, known[6], known[3],
  redis.call('SCARD', blocked)}
