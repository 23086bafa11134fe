-- Replaces the record of a live run.
--
-- KEYS: 1 the record, a string of JSON.
-- ARGV: the new record; ttl in ms; the place that the run must have, "" for any.
-- Returns the record that is there now; false if there is none.
local text, ttl, before = unpack(ARGV)
local known = redis.call('GET', KEYS[1])
if not known then return false end
local record = cjson.decode(known)
if record.is_ended or (before ~= '' and record.worker ~= before) then return known end
redis.call('SET', KEYS[1], text, 'PX', ttl)
return text
