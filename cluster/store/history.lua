-- Pages of conversations' messages, all read at one instant.
-- KEYS for each page: record, session list (newest first)
-- ARGV for each page: the first message wanted is the newest with seq < this, or 0 for the newest; how many
-- Returns for each page {record or false, length, {messages, newest first}}
local function page(record, session, before, limit)
  local length = redis.call('LLEN', session)
  local skip = 0
  if before > 0 and before <= length then skip = length - before + 1 end
  return {
    redis.call('GET', record),
    length,
    redis.call('LRANGE', session, skip, skip + limit - 1),
  }
end

local pages = {}
for n = 1, #KEYS / 2 do
  pages[n] = page(KEYS[2 * n - 1], KEYS[2 * n], tonumber(ARGV[2 * n - 1]), tonumber(ARGV[2 * n]))
end
return pages
