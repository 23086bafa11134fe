-- Reads the data of an entry.
--
-- ARGV: its offset.
-- Returns the data; false if it is not kept any more.
local offset = tonumber(ARGV[1])
local log = state()
if offset < first_of(log) or offset > log.offset then return false end
local entry = entry_at(offset)
if entry[KIND] == 'd' then return entry[DATA] end
return redis.call('HGET', large, offset)
