-- Reads what follows a position; all that is kept if the position is not known.
--
-- ARGV: the offset; the nonce of its entry, "" if it is not known; maximum bytes of data, but one
--       entry at least.
-- Returns {last offset, its nonce, offset of the oldest entry that is kept, 1 if the position is
-- known or 0, entries}.
local after, nonce, most = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local log = state()
local first = first_of(log)

local function knows_position()
  if after > log.offset then return false end
  if nonce == '' or after < first - 1 then return true end
  if after == log.offset then return nonce == log.nonce end
  if after == log.trimmed then return nonce == log.trimmed_nonce end
  return nonce == entry_at(after)[NONCE]
end

local is_known = knows_position()
local found, size = {}, 0
local start = is_known and math.max(first, after + 1) or first
while start <= log.offset and size <= most do
  local some = redis.call('XRANGE', entries, string.format('%.0f-0', start), '+', 'COUNT', 32)
  if #some == 0 then break end
  for _, one in ipairs(some) do
    size = size + size_of(one[2])
    if #found > 0 and size > most then break end
    table.insert(found, one)
  end
  start = start + #some
end
return {log.offset, log.nonce, first, is_known and 1 or 0, found}
