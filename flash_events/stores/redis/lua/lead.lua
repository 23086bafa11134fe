-- Takes a lead, if nobody has it.
--
-- KEYS: 1 the leads of the group, see `values.lua`.
-- ARGV: the name; the new lead; the lead that may be replaced because its worker is dead, "" for
--       none; for how long leads are kept without a renewal, in ms.
-- Returns the current lead.
local name, lead, dead, ttl = unpack(ARGV)
local current = redis.call('HGET', KEYS[1], name)
if current and current ~= lead and current ~= dead then return current end
redis.call('HSET', KEYS[1], name, lead)
redis.call('PEXPIRE', KEYS[1], ttl)
return lead
