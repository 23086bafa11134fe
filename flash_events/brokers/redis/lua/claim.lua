-- Writes the record of a run, unless it has one.
--
-- KEYS: 1 the record, a string of JSON.
-- ARGV: the nonce of the claim, the same if the script is sent again; ttl in ms; the record, which
--       contains the nonce.
-- Returns false if the record was written; else the record that is there.
local nonce, ttl, text = unpack(ARGV)
local known = redis.call('GET', KEYS[1])
if not known then
  redis.call('SET', KEYS[1], text, 'PX', ttl)
elseif cjson.decode(known).nonce ~= nonce then
  return known
end
return false
