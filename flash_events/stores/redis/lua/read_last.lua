-- Reads the newest entries.
--
-- ARGV: how many; maximum bytes of data, but one entry at least.
-- Returns {last offset, its nonce, offset of the oldest entry that is kept, 1, entries}; the newest
-- entry is the first.
local count, most = tonumber(ARGV[1]), tonumber(ARGV[2])
local log = state()
local first = first_of(log)
local from = math.max(first, log.offset - count + 1)
local found, size, last = {}, 0, log.offset
while last >= from and size <= most do
  local some = redis.call('XREVRANGE', entries, string.format('%.0f-0', last),
    string.format('%.0f-0', from), 'COUNT', 32)
  if #some == 0 then break end
  for _, one in ipairs(some) do
    size = size + size_of(one[2])
    if #found > 0 and size > most then break end
    table.insert(found, one)
  end
  last = last - #some
end
return {log.offset, log.nonce, first, 1, found}
