-- What desks need to start or to go on, all read at one instant.
-- KEYS for each desk: log, set of conversations held
-- ARGV[1] most entries to replay; ARGV[2] messages of context; ARGV[3], ARGV[4] prefixes of conversation and
-- session keys; then for each desk its cursor, or -1
-- Returns for each desk {'ahead', newest, {}} | {'replay', newest, {entries}}
--   | {'snapshot', newest, {record, {messages}} ...}
local replay, context = tonumber(ARGV[1]), tonumber(ARGV[2])

local function desk(log, holds, cursor)
  local last = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
  local newest = last and tonumber(string.sub(last[1], 3)) or 0
  if cursor > newest then return {'ahead', newest, {}} end
  if cursor == newest then return {'replay', newest, {}} end
  if cursor >= 0 and newest - cursor <= replay then
    local entries = redis.call('XRANGE', log, '0-' .. (cursor + 1), '+')
    if #entries == newest - cursor then return {'replay', newest, entries} end
  end
  local held = {}
  for _, id in ipairs(redis.call('SMEMBERS', holds)) do
    held[#held + 1] = {
      redis.call('GET', ARGV[3] .. id),
      redis.call('LRANGE', ARGV[4] .. id, 0, context - 1),
    }
  end
  return {'snapshot', newest, held}
end

local desks = {}
for n = 1, #KEYS / 2 do
  desks[n] = desk(KEYS[2 * n - 1], KEYS[2 * n], tonumber(ARGV[4 + n]))
end
return desks
