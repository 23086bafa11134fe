-- Reads the end of a log, and has it remembered for longer.
--
-- KEYS: 1 the head of the log, see `log.lua`.
-- ARGV: for how long at least, in ms.
-- Returns {last offset, its nonce}; both are false for a log without entries.
redis.call('PEXPIRE', KEYS[1], ARGV[1], 'GT')
return redis.call('HMGET', KEYS[1], 'offset', 'nonce')
