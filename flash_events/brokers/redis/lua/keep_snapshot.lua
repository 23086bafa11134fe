-- Keeps a snapshot.
--
-- KEYS: 1 a list: its events, in order, the run's end event last.
-- ARGV: how long it is kept, in ms; the events.
-- Returns how many there are.
redis.call('DEL', KEYS[1])
for i = 2, #ARGV do redis.call('RPUSH', KEYS[1], ARGV[i]) end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return #ARGV - 1
