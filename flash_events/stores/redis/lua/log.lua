-- What the scripts of a log share; it is put before each of them.
--
-- KEYS of each of them, all with the hash tag of the log:
--   1 entries  a stream. The id of an entry is `<offset>-0`. Its fields, always in this order, are
--              `n`, the nonce; `t`, the time in µs; `o`, the origin; `c`, the bytes of all data that
--              was ever appended, up to here; and `d`, the data, or `z`, its size if it is in
--              `large`.
--   2 head     a hash: `offset`, `nonce` and `bytes` (as `c`) of the last entry that was appended;
--              `trimmed`, `trimmed_nonce` and `trimmed_bytes` of the last one that was removed;
--              `ttl`, the time in µs after which entries are not read, "" for never.
--   3 large    a hash: large data, by offset.
-- `entries` and `large` expire with the newest entry. `head` lives longer, and tells then that all
-- entries were removed.

local entries, head, large = KEYS[1], KEYS[2], KEYS[3]
local NONCE, TIME, BYTES, KIND, DATA = 2, 4, 8, 9, 10

local function time_now()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

-- Returns the fields of an entry that is kept.
local function entry_at(offset)
  local id = string.format('%.0f-0', offset)
  return redis.call('XRANGE', entries, id, id)[1][2]
end

local function size_of(entry)
  return entry[KIND] == 'd' and #entry[DATA] or tonumber(entry[DATA])
end

-- Returns the state of the log: the fields of `head`, numbers as such; `ttl` is false for none.
local function state()
  local known = redis.call('HMGET', head, 'offset', 'nonce', 'bytes', 'trimmed', 'trimmed_nonce',
    'trimmed_bytes', 'ttl')
  if not known[1] then
    return {offset = 0, nonce = '', bytes = 0, trimmed = 0, trimmed_nonce = '', trimmed_bytes = 0,
      ttl = false}
  end
  local log = {offset = tonumber(known[1]), nonce = known[2], bytes = tonumber(known[3]),
    trimmed = tonumber(known[4]), trimmed_nonce = known[5], trimmed_bytes = tonumber(known[6]),
    ttl = tonumber(known[7])}
  if log.trimmed < log.offset and redis.call('EXISTS', entries) == 0 then
    log.trimmed, log.trimmed_nonce, log.trimmed_bytes = log.offset, log.nonce, log.bytes
  end
  return log
end

-- Returns the offset of the oldest entry that is not too old; the next offset if there is none.
-- Old entries are removed when the next one is appended, so that to read is never to write.
local function first_of(log)
  local first, past = log.trimmed + 1, log.offset + 1
  if not log.ttl or first == past then return first end
  local oldest = time_now() - log.ttl
  if tonumber(entry_at(first)[TIME]) > oldest then return first end
  first = first + 1
  while first < past do
    local middle = math.floor((first + past) / 2)
    if tonumber(entry_at(middle)[TIME]) > oldest then past = middle else first = middle + 1 end
  end
  return first
end

