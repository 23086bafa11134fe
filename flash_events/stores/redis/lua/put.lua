-- Stores a value, and removes others of its group that exceed the quota.
--
-- ARGV: the name; the value; maximum number of values; maximum of their bytes; ttl in ms, "" for
--       none; the lead that is needed, "" for none; the nonce of this put.
-- Returns whether the value is stored, as 1 or 0.
local name, data, fence, nonce = ARGV[1], ARGV[2], ARGV[6], ARGV[7]
local most, most_bytes, ttl = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
if fence ~= '' then
  if redis.call('HGET', leads, name) ~= fence then
    return redis.call('HGET', puts, name) == nonce and 1 or 0
  end
  redis.call('HDEL', leads, name)
end
if #data > most_bytes then return 0 end

local now = time_now()
remove(name)
redis.call('HSET', values, name, data)
redis.call('ZADD', used, now, name)
if ttl then redis.call('ZADD', expiring, now + ttl * 1000, name) end
if fence ~= '' then redis.call('HSET', puts, name, nonce) end
local total = redis.call('INCRBY', bytes, #data)
for _, old in ipairs(redis.call('ZRANGEBYSCORE', expiring, '-inf', now)) do remove(old) end
total = tonumber(redis.call('GET', bytes))
while redis.call('HLEN', values) > most or total > most_bytes do
  local oldest = redis.call('ZRANGE', used, 0, 0)[1]
  if not oldest then  -- Redis has evicted a part of the group
    remove_all()
    return 0
  end
  remove(oldest)
  total = tonumber(redis.call('GET', bytes))
end
local last = redis.call('ZRANGE', expiring, -1, -1, 'WITHSCORES')
local all_expire = redis.call('HLEN', values) == redis.call('ZCARD', expiring)
for i = 1, 5 do
  if all_expire and last[2] then
    redis.call('PEXPIREAT', KEYS[i], math.ceil(tonumber(last[2]) / 1000))
  else
    redis.call('PERSIST', KEYS[i])
  end
end
return 1
