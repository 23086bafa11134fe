-- Appends an entry, unless it was appended before, and tells everybody who watches the log.
--
-- KEYS: also 4 a string that is kept as long as the nonce is remembered; 5 the same for the
--       idempotency key, if there is one. Both contain `<offset> <nonce>` of the entry.
-- ARGV: the channel; the nonce; the origin; the data; maximum number of entries; ttl of entries in
--       µs, "" for none; maximum bytes; the offset that must be the last one, "" for any; "1" to
--       remove all earlier entries; size from which data is large; for how long the nonce, the key
--       and the last offset are remembered, in ms.
-- Returns {offset, nonce} of the entry; {offset} of the last one if that is not the expected one.
local channel, nonce, origin, data = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local history, ttl, most_bytes = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local expected, clears, large_size = tonumber(ARGV[8]), ARGV[9] == '1', tonumber(ARGV[10])
local nonce_ms, key_ms, offset_ms = ARGV[11], ARGV[12], tonumber(ARGV[13])

local earlier = redis.call('GET', KEYS[4]) or (KEYS[5] and redis.call('GET', KEYS[5]))
if earlier then
  local offset, of = string.match(earlier, '^(%d+) (.*)$')
  return {tonumber(offset), of}
end
local log = state()
if expected and expected ~= log.offset then return {log.offset} end

local now = time_now()
local offset, bytes = log.offset + 1, log.bytes + #data
local first = log.trimmed + 1
local is_large = history > 0 and #data > large_size
-- Without a head, the stream is a rest of a log that Redis has evicted in part.
if history == 0 or log.offset == 0 then redis.call('DEL', entries, large) end
if history == 0 then
  log.trimmed, log.trimmed_nonce, log.trimmed_bytes = offset, nonce, bytes
else
  redis.call('XADD', entries, string.format('%.0f-0', offset), 'n', nonce, 't', now, 'o', origin,
    'c', bytes, is_large and 'z' or 'd', is_large and #data or data)
  if is_large then redis.call('HSET', large, offset, data) end
  local function trim_to(last, entry)
    log.trimmed, log.trimmed_nonce, log.trimmed_bytes = last, entry[NONCE], tonumber(entry[BYTES])
  end
  local too_many = clears and log.offset or offset - history
  if too_many > log.trimmed then trim_to(too_many, entry_at(too_many)) end
  while log.trimmed < log.offset do
    local oldest = entry_at(log.trimmed + 1)
    local is_old = ttl and tonumber(oldest[TIME]) <= now - ttl
    if not is_old and bytes - log.trimmed_bytes <= most_bytes then break end
    trim_to(log.trimmed + 1, oldest)
  end
  if log.trimmed >= first then
    redis.call('XTRIM', entries, 'MINID', string.format('%.0f-0', log.trimmed + 1))
    if redis.call('EXISTS', large) == 1 then
      for removed = first, log.trimmed do redis.call('HDEL', large, removed) end
    end
  end
end
redis.call('HSET', head, 'offset', offset, 'nonce', nonce, 'bytes', bytes,
  'trimmed', log.trimmed, 'trimmed_nonce', log.trimmed_nonce, 'trimmed_bytes', log.trimmed_bytes,
  'ttl', ttl or '')

if ttl then
  local ms = math.ceil(ttl / 1000)
  redis.call('PEXPIRE', entries, ms)
  redis.call('PEXPIRE', large, ms)
  redis.call('PEXPIRE', head, ms + offset_ms)
elseif log.ttl then
  for i = 1, 3 do redis.call('PERSIST', KEYS[i]) end
end
local position = string.format('%.0f ', offset) .. nonce
redis.call('SET', KEYS[4], position, 'PX', nonce_ms)
if KEYS[5] then redis.call('SET', KEYS[5], position, 'PX', key_ms) end
redis.call('PUBLISH', channel, string.format('%.0f %.0f %d %d %d\n', offset, now, #nonce, #origin,
  is_large and 0 or 1) .. nonce .. origin .. (is_large and '' or data))
return {offset, nonce}
