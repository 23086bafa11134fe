"""What happens in Redis in one step, as Lua.

The keys of one connection share a hash tag, so that they live in one slot of a cluster, and no
script needs two connections:

    log      a stream; an entry holds `d`, `n` events in one piece of bytes, with `c`, the cost, and
             `b`, the bytes, of all that was ever appended, up to here. Its id is
             `<epoch>-<number of its last event>`: no number is left out, whichever worker writes.
    meta     a hash: epoch, owner, holder, last (number), cost, bytes, read and handed (cost),
             finished, stopped, and for each writer the number of its last append, so that one that
             is sent again after a broken connection does nothing; for each run that was adopted,
             or declared lost, the number of the attempt that may write.
    runs     a hash: the live runs that write to the log, each with its worker, which owns it.
    blocked  a set: the workers that wait for room.

They expire together, unless their holder renews them. Only the owner of a run appends its events:
one that was declared dead, and was only slow, is refused. OPEN, CLAIM and WITHDRAW have a fifth
key, the run's record, which is in another slot: they, LOCATE and LEAVE_TESTAMENT need a Redis that
is no cluster.
"""

READ_BYTES = 512 * 1024
"""Of one read, and one entry more."""

_HEAD = """
local log, meta, runs, blocked = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local function put(count, cost, data)
  local last = redis.call('HINCRBY', meta, 'last', count)
  local costs = redis.call('HINCRBY', meta, 'cost', cost)
  local bytes = redis.call('HINCRBY', meta, 'bytes', #data)
  local epoch = redis.call('HGET', meta, 'epoch')
  redis.call('XADD', log, epoch .. '-' .. last, 'n', count, 'c', costs, 'b', bytes, 'd', data)
  if last == tonumber(count) then redis.call('PEXPIRE', log, redis.call('PTTL', meta)) end
end
local function renew(ttl)
  for i = 1, 4 do redis.call('PEXPIRE', KEYS[i], ttl) end
end
local function join(run, worker)
  redis.call('HSETNX', runs, run, worker)
  redis.call('PEXPIRE', runs, redis.call('PTTL', meta))
end
"""

OPEN = (
    _HEAD
    + """
local epoch, owner, holder, ttl, run, worker = unpack(ARGV)
local known = redis.call('HMGET', meta, 'epoch', 'owner')
if known[1] then
  if known[2] ~= owner then return false end
  local record = redis.call('GET', KEYS[5])
  local home = record and cjson.decode(record).worker or ''
  if home ~= '' and home ~= worker then return false end
  epoch = known[1]
else
  redis.call('HSET', meta, 'epoch', epoch, 'owner', owner, 'last', 0, 'cost', 0, 'bytes', 0,
    'handed', 0)
end
redis.call('HSET', meta, 'holder', holder)
redis.call('PEXPIRE', meta, ttl)
join(run, worker)
return epoch
"""
)
"""A new log. Returns its epoch; nothing for a foreign one, or where another has the run."""

TAKE = (
    _HEAD
    + """
local owner, holder, ttl = unpack(ARGV)
local known = redis.call('HMGET', meta, 'epoch', 'owner', 'holder')
if not known[1] or known[2] ~= owner then return false end
redis.call('HSET', meta, 'holder', holder)
renew(ttl)
return {known[1], known[3], redis.call('HGETALL', runs)}
"""
)
"""Makes a worker the holder. Returns the epoch, the holder before, and the runs."""

JOIN = (
    _HEAD
    + """
local owner, run, worker, most, most_waiting = unpack(ARGV)
local known = redis.call('HMGET', meta, 'epoch', 'owner', 'finished', 'cost', 'handed')
if not known[1] or known[2] ~= owner or known[3] then return false end
local is_in = redis.call('HEXISTS', runs, run) == 1
local is_full = redis.call('HLEN', runs) >= tonumber(most)
  or tonumber(known[4]) - tonumber(known[5]) > tonumber(most_waiting)
if not is_in and is_full then return 'full' end
join(run, worker)
return known[1]
"""
)
"""A run will write. Returns the epoch, or 'full'."""

APPEND = (
    _HEAD
    + """
local writer, number, worker, waits, count, cost, data, named = unpack(ARGV, 1, 8)
local known = redis.call('HMGET', meta, 'epoch', 'holder', 'handed', 'w:' .. writer, 'finished')
if not known[1] then return false end
local first_leaving = 9 + 2 * named
if tonumber(number) > tonumber(known[4] or 0) then
  local refused = {'refused'}
  for i = 9, first_leaving - 1, 2 do
    local run, attempt = ARGV[i], ARGV[i + 1]
    local home = redis.call('HGET', runs, run)
    if home ~= worker then
      local newest = redis.call('HGET', meta, 'a:' .. run) or '0'
      if home or known[5] or newest ~= attempt then
        table.insert(refused, run)
      else
        join(run, worker)
      end
    end
  end
  if #refused > 1 then return refused end
  redis.call('HSET', meta, 'w:' .. writer, number)
  if tonumber(count) > 0 then put(count, cost, data) end
end
for i = first_leaving, #ARGV do
  local home = redis.call('HGET', runs, ARGV[i])
  if home == worker or home == 'queued' then redis.call('HDEL', runs, ARGV[i]) end
end
local costs = redis.call('HGET', meta, 'cost')
if waits == '1' and tonumber(costs) > tonumber(known[3]) then
  redis.call('SADD', blocked, worker)
  redis.call('PEXPIRE', blocked, redis.call('PTTL', meta))
end
return {costs, known[3], known[2]}
"""
)
"""Appends a batch, and lets runs leave. Returns cost, handed cost, holder.

Nothing is appended where a run of the batch is owned by another worker, has been declared lost, or
a newer attempt has taken it over: the answer is then 'refused' and these runs. A run that Redis has
forgotten is written down again.
"""

LOSE = (
    _HEAD
    + """
local run, worker, cost, data = unpack(ARGV)
local home = redis.call('HGET', runs, run)
local holder = redis.call('HGET', meta, 'holder')
if not home or not holder or (worker ~= '' and home ~= worker) then return false end
redis.call('HDEL', runs, run)
redis.call('HINCRBY', meta, 'a:' .. run, 1)
put(1, cost, data)
return holder
"""
)
"""The end of a run, told by another than its worker ('' for any), whose attempt is over.

Returns the holder.
"""

ADOPT = (
    _HEAD
    + """
local run, worker, nonce = unpack(ARGV)
local known = redis.call('HMGET', meta, 'epoch', 'holder', 'stopped', 'n:' .. run)
if not known[1] or redis.call('HEXISTS', runs, run) == 0 then return false end
if known[3] then redis.call('HDEL', runs, run) return {known[1], 0, known[2]} end
redis.call('HSET', runs, run, worker)
if known[4] ~= nonce then
  redis.call('HSET', meta, 'n:' .. run, nonce)
  redis.call('HINCRBY', meta, 'a:' .. run, 1)
end
return {known[1], redis.call('HGET', meta, 'a:' .. run), known[2]}
"""
)
"""Another worker takes a run over. Returns epoch, attempt (0: it is wanted no more), holder."""

EMIT = (
    _HEAD
    + """
local run, worker, attempt, number, home, limit, cost, count, data = unpack(ARGV)
local known = redis.call('HMGET', meta, 'holder', 'handed', 'cost', 'stopped', 'a:' .. run,
  'w:' .. run .. ':' .. attempt, 'read')
if not known[1] or known[4] or known[5] ~= attempt then return false end
if tonumber(number) <= tonumber(known[6] or 0) then return {known[1], 1, 1} end
if redis.call('HGET', runs, run) ~= worker then return false end
local waiting = tonumber(known[3]) - tonumber(known[2])
local has_read = known[3] == known[7] and 1 or 0
if waiting > 0 and waiting + tonumber(cost) > tonumber(limit) then
  redis.call('SADD', blocked, worker)
  redis.call('PEXPIRE', blocked, redis.call('PTTL', meta))
  return {known[1], 0, has_read}
end
redis.call('HSET', meta, 'w:' .. run .. ':' .. attempt, number)
put(count, cost, data)
if home ~= '' then redis.call('HSET', runs, run, home) end
return {known[1], 1, has_read}
"""
)
"""Appends events of a run that was adopted, if there is room; `home` takes the run then.

Returns the holder, whether there was room, and whether the holder had read all before and must be
told: of this, or that room is wanted. Nothing for a run that is wanted no more, or that another
attempt has taken over.
"""

CALL_OFF = (
    _HEAD
    + """
if redis.call('EXISTS', meta) == 0 then return {} end
redis.call('HSET', meta, 'stopped', 1)
return redis.call('SMEMBERS', blocked)
"""
)
"""Its runs are wanted no more. Returns the workers that wait for room."""

FINISH = (
    _HEAD
    + """
local cost, data = unpack(ARGV)
if redis.call('EXISTS', meta) == 0 or redis.call('HLEN', runs) > 0 then return 0 end
if redis.call('HSETNX', meta, 'finished', 1) == 1 then put(1, cost, data) end
return 1
"""
)
"""The last event, unless a run uses the log."""

READ = (
    _HEAD
    + f"local READ_BYTES = {READ_BYTES}\n"
    + """
local holder, handed, after, count, keep = unpack(ARGV)
local known = redis.call('HMGET', meta, 'epoch', 'holder', 'handed', 'last', 'finished', 'cost')
if not known[1] or known[2] ~= holder then return false end
if tonumber(after) == tonumber(known[4]) then handed = known[6] end
local told = {}
if tonumber(handed) > tonumber(known[3]) then
  redis.call('HSET', meta, 'handed', handed)
  known[3] = handed
  told = redis.call('SMEMBERS', blocked)
  redis.call('DEL', blocked)
end
if keep ~= '' then redis.call('XTRIM', log, 'MINID', known[1] .. '-' .. keep) end
local entries = redis.call('XRANGE', log, '(' .. known[1] .. '-' .. after, '+', 'COUNT', count)
local size = 0
for i, entry in ipairs(entries) do
  if size > READ_BYTES then entries[i] = nil else size = size + #entry[2][8] end
end
local read = #entries == 0 and known[1] .. '-' .. after or entries[#entries][1]
if read == known[1] .. '-' .. known[4] then redis.call('HSET', meta, 'read', known[6]) end
return {known[4], known[5] or '', entries, redis.call('HGETALL', runs), told, known[6], known[3],
  redis.call('SCARD', blocked)}
"""
)
"""What follows an event. Who has got all there is waits to be told of more.

Returns last number, finished, entries, runs, whom to tell of room, cost, handed cost, and how many
still want room.
"""

DROP = (
    _HEAD
    + """
if redis.call('HGET', meta, 'holder') ~= ARGV[1] then return {} end
local left = redis.call('HGETALL', runs)
redis.call('DEL', log, meta, runs, blocked)
return left
"""
)
"""Forgets a log. Returns the runs that used it."""

RENEW = (
    _HEAD
    + """
if redis.call('HGET', meta, 'holder') ~= ARGV[1] then return false end
renew(ARGV[2])
return redis.call('HGETALL', runs)
"""
)
"""Keeps a log for as long again. Returns its runs; nothing where another worker holds it."""

CLAIM = (
    _HEAD
    + """
local run, worker, nonce, ttl, text, given_up = unpack(ARGV)
local known = redis.call('GET', KEYS[5])
if not known and redis.call('ZSCORE', KEYS[6], run) then return given_up end
if not known then
  redis.call('SET', KEYS[5], text, 'PX', ttl)
elseif cjson.decode(known).nonce ~= nonce then
  return known
end
if redis.call('EXISTS', meta) == 1 then
  redis.call('HSET', runs, run, worker)
  redis.call('PEXPIRE', runs, redis.call('PTTL', meta))
end
return false
"""
)
"""Writes a run's record, and makes its worker the owner, unless it has a record; returns that.

The sixth key is of LOCATE. Of a run that was given up nothing is written.
"""

LOCATE = """
local ttl, most = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local found, unknown = {}, false
for i = 2, #KEYS do
  local record = redis.call('GET', KEYS[i])
  if record then
    table.insert(found, record)
  else
    redis.call('ZADD', KEYS[1], now, ARGV[i + 1])
    unknown = true
  end
end
if unknown then
  redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ttl)
  redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -most - 1)
  redis.call('PEXPIRE', KEYS[1], ttl)
end
return found
"""
"""Returns the records of runs; gives up those that are unknown, as their start may be on its way.

The first key is a sorted set of the runs that an owner has given up, with the time; the newest are
kept. The others are those of the runs' records.
"""

LEAVE_TESTAMENT = """
local run, ttl, limit = ARGV[1], ARGV[2], tonumber(ARGV[3])
redis.call('DEL', KEYS[1])
local size = 0
for i = 4, #ARGV do
  redis.call('RPUSH', KEYS[1], ARGV[i])
  size = size + #ARGV[i]
end
redis.call('PEXPIRE', KEYS[1], ttl)
redis.call('RPUSH', KEYS[2], KEYS[1], size)
local total = redis.call('INCRBY', KEYS[3], size)
while total > limit do
  local oldest = redis.call('LPOP', KEYS[2], 2)
  if not oldest then break end
  if oldest[1] ~= KEYS[1] or redis.call('LLEN', KEYS[2]) == 0 then
    redis.call('DEL', oldest[1])
  end
  total = redis.call('DECRBY', KEYS[3], oldest[2])
end
redis.call('PEXPIRE', KEYS[2], ttl)
redis.call('PEXPIRE', KEYS[3], ttl)
return 1
"""
"""Keeps what pages are told of a run after its end, piece by piece, and forgets the oldest ones.

The keys are of the run's list, of a list of all such keys with their sizes, and of their sum.
"""

WITHDRAW = (
    _HEAD
    + """
local run, worker, owner, nonce = unpack(ARGV)
local known = redis.call('GET', KEYS[5])
if known then
  local record = cjson.decode(known)
  if record.nonce == nonce then
    redis.call('DEL', KEYS[5])
  elseif record.worker ~= '' then
    return false
  end
end
local found = redis.call('HMGET', meta, 'owner', 'holder', 'last')
if found[1] ~= owner or redis.call('HGET', runs, run) ~= worker then return false end
redis.call('HDEL', runs, run)
if found[3] == '0' and redis.call('HLEN', runs) == 0 then redis.call('DEL', meta) end
return found[2]
"""
)
"""Undoes OPEN, JOIN and CLAIM of a start that was cut. Returns the holder where a run has left.

A run that another request has claimed is left alone.
"""

MOVE = """
local text, ttl, before = unpack(ARGV)
local known = redis.call('GET', KEYS[1])
if not known then return false end
local record = cjson.decode(known)
if record.is_ended or (before ~= '' and record.worker ~= before) then return known end
redis.call('SET', KEYS[1], text, 'PX', ttl)
return text
"""
"""Replaces the record of a run that lives, if its worker is the one that is expected ('' for any).

The one key is the record's. Returns what the record is then.
"""

KEEP = """
local worker, text, ttl = unpack(ARGV)
local known = redis.call('GET', KEYS[1])
if known and cjson.decode(known).worker ~= worker then return 0 end
redis.call('SET', KEYS[1], text, 'PX', ttl)
return 1
"""
"""Writes the record of a run for its worker; not where another worker has the run meanwhile."""
