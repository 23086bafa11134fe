-- Writes the record of a run for its worker, also if Redis has forgotten it.
--
-- KEYS: 1 the record, a string of JSON.
-- ARGV: the worker; the record; ttl in ms.
-- Returns whether it was written, as 1 or 0: not if the run is at another place meanwhile.
local worker, text, ttl = unpack(ARGV)
local known = redis.call('GET', KEYS[1])
if known and cjson.decode(known).worker ~= worker then return 0 end
redis.call('SET', KEYS[1], text, 'PX', ttl)
return 1
