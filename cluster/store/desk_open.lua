-- What a desk needs to start or to go on, read at one instant.
-- KEYS[1] log; KEYS[2] set of conversations held
-- ARGV[1] the desk's cursor, or -1; ARGV[2] most entries to replay; ARGV[3] messages of context
-- ARGV[4], ARGV[5] prefixes of conversation and session keys
-- Returns {'ahead', newest, {}} | {'replay', newest, {entries}} | {'snapshot', newest, {record, {messages}} ...}
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local newest = last and tonumber(string.sub(last[1], 3)) or 0
local cursor = tonumber(ARGV[1])
if cursor > newest then return {'ahead', newest, {}} end
if cursor == newest then return {'replay', newest, {}} end
if cursor >= 0 and newest - cursor <= tonumber(ARGV[2]) then
  local entries = redis.call('XRANGE', KEYS[1], '0-' .. (cursor + 1), '+')
  if #entries == newest - cursor then return {'replay', newest, entries} end
end
local held = {}
for _, id in ipairs(redis.call('SMEMBERS', KEYS[2])) do
  held[#held + 1] = {
    redis.call('GET', ARGV[4] .. id),
    redis.call('LRANGE', ARGV[5] .. id, 0, tonumber(ARGV[3]) - 1),
  }
end
return {'snapshot', newest, held}
