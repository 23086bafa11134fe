-- What the scripts of an event log share; it is put before each of them.
--
-- KEYS of each of them, all with the hash tag of the connection:
--   1 log      a stream. An entry holds `d`, `n` events in one piece of bytes, with `c`, the cost,
--              and `b`, the bytes, of all that was ever appended, up to here. Its id is
--              `<epoch>-<number of its last event>`: no number is left out, whichever worker
--              writes.
--   2 meta     a hash: epoch, owner, holder, last (number), cost, bytes, read and handed (cost),
--              finished, stopped; for each writer `w:<writer>`, the number of its last append, so
--              that one that is sent again after a broken connection does nothing; for each run
--              that was adopted, or declared lost, `a:<run>`, the attempt that may write, and
--              `n:<run>`, the nonce of the adoption; for each run that was ended for its worker,
--              `e:<run>`, the nonce of that call; for each run that was claimed while it uses the
--              log, `c:<run>`, the nonce of the claim.
--   3 runs     a hash: the live runs that write to the log, each with its place: a worker's id,
--              or "queued".
--   4 blocked  a set: the workers that wait for room.
-- They expire together unless their holder renews them.

local log, meta, runs, blocked = KEYS[1], KEYS[2], KEYS[3], KEYS[4]

-- Appends `count` events in one piece of bytes, which cost `cost` together.
local function put(count, cost, data)
  local last = redis.call('HINCRBY', meta, 'last', count)
  local costs = redis.call('HINCRBY', meta, 'cost', cost)
  local bytes = redis.call('HINCRBY', meta, 'bytes', #data)
  local epoch = redis.call('HGET', meta, 'epoch')
  redis.call('XADD', log, epoch .. '-' .. last, 'n', count, 'c', costs, 'b', bytes, 'd', data)
  if last == tonumber(count) then redis.call('PEXPIRE', log, redis.call('PTTL', meta)) end
end

-- Has all keys live for `ttl` ms from now on.
local function renew(ttl)
  for i = 1, 4 do redis.call('PEXPIRE', KEYS[i], ttl) end
end

-- Adds a run, unless it is there.
local function join(run, place)
  redis.call('HSETNX', runs, run, place)
  redis.call('PEXPIRE', runs, redis.call('PTTL', meta))
end

-- Removes a run and the nonce of its claim.
local function remove(run)
  redis.call('HDEL', runs, run)
  redis.call('HDEL', meta, 'c:' .. run)
end

