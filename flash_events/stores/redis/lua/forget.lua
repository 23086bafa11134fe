-- Removes values and leads.
--
-- ARGV: the names; none for all.
-- Returns how many values of the group are left.
if #ARGV == 0 then
  remove_all()
  redis.call('DEL', leads)
end
for _, name in ipairs(ARGV) do
  remove(name)
  redis.call('HDEL', leads, name)
end
local left = redis.call('HLEN', values)
if left == 0 then remove_all() end
return left
