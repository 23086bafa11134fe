-- Appends a batch of events, and lets runs leave.
--
-- ARGV: 1 the writer, a queue of one worker; 2 the number of this append, counted by the writer;
--       3 the worker; 4 "1" if it waits for room, or "0"; 5 how many events; 6 their cost; 7 their
--       bytes; 8 how many runs the events are of; then each of these runs and its attempt (0 for
--       one that was never adopted), in turn; then the runs that leave.
-- Returns {cost of all that was ever appended, cost of all that was handed over, holder}; false if
-- there is no log. Returns {"refused", runs...}, and appends nothing, if a run of the batch is at
-- another worker, has been declared lost, or a newer attempt has taken it over. A run that Redis
-- has forgotten is added again.
local writer, number, worker, waits, count, cost, data, named = unpack(ARGV, 1, 8)
local known = redis.call('HMGET', meta, 'epoch', 'holder', 'handed', 'w:' .. writer, 'finished')
if not known[1] then return false end
local first_leaving = 9 + 2 * named
if tonumber(number) > tonumber(known[4] or 0) then
  local refused = {'refused'}
  for i = 9, first_leaving - 1, 2 do
    local run, attempt = ARGV[i], ARGV[i + 1]
    local place = redis.call('HGET', runs, run)
    if place ~= worker then
      local newest = redis.call('HGET', meta, 'a:' .. run) or '0'
      if place or known[5] or newest ~= attempt then
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
  local place = redis.call('HGET', runs, ARGV[i])
  if place == worker or place == 'queued' then remove(ARGV[i]) end
end
local costs = redis.call('HGET', meta, 'cost')
if waits == '1' and tonumber(costs) > tonumber(known[3]) then
  redis.call('SADD', blocked, worker)
  redis.call('PEXPIRE', blocked, redis.call('PTTL', meta))
end
return {costs, known[3], known[2]}
