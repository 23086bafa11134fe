-- Lets a worker take a run over.
--
-- ARGV: the run; the worker; a nonce, the same if the script is sent again.
-- Returns {epoch, number of the attempt, holder}, with the attempt 0 if the log's writers were
-- cancelled; false if there is no log or the run has left it.
local run, worker, nonce = unpack(ARGV)
local known = redis.call('HMGET', meta, 'epoch', 'holder', 'stopped', 'n:' .. run)
if not known[1] or redis.call('HEXISTS', runs, run) == 0 then return false end
if known[3] then remove(run) return {known[1], 0, known[2]} end
redis.call('HSET', runs, run, worker)
if known[4] ~= nonce then
  redis.call('HSET', meta, 'n:' .. run, nonce)
  redis.call('HINCRBY', meta, 'a:' .. run, 1)
end
return {known[1], redis.call('HGET', meta, 'a:' .. run), known[2]}
