-- Deletes the record of a run, if it is of this claim.
--
-- KEYS: 1 the record, a string of JSON.
-- ARGV: the nonce of the claim.
-- Returns whether it was deleted, as 1 or 0.
local known = redis.call('GET', KEYS[1])
if not known or cjson.decode(known).nonce ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
