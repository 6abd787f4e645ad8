-- A page of a conversation's messages, read at one instant.
-- KEYS[1] record; KEYS[2] session list (newest first)
-- ARGV[1] first message wanted is the newest with seq < this, or 0 for the newest; ARGV[2] how many
-- Returns {record or false, length, {messages, newest first}}
local length = redis.call('LLEN', KEYS[2])
local before = tonumber(ARGV[1])
local skip = 0
if before > 0 and before <= length then skip = length - before + 1 end
return {
  redis.call('GET', KEYS[1]),
  length,
  redis.call('LRANGE', KEYS[2], skip, skip + tonumber(ARGV[2]) - 1),
}
