-- The fenced append: everything that one batch changes in one account, or nothing.
-- KEYS[1] hash slot -> epoch of its owner
-- ARGV[1] the caller's epoch
-- ARGV[2] MessagePack array of the slots touched
-- ARGV[3] MessagePack array of commands, each an array as for redis.call
-- ARGV[4] MessagePack array of desk entries: {log key, channel, JSON array of events}
-- ARGV[5] how many entries a desk log keeps, about
-- Returns 1, or 0 when a newer owner has taken one of the slots.
local slots = cmsgpack.unpack(ARGV[2])
local owners = redis.call('HMGET', KEYS[1], unpack(slots))
for i = 1, #slots do
  if owners[i] ~= ARGV[1] then return 0 end
end
local commands = cmsgpack.unpack(ARGV[3])
for i = 1, #commands do
  redis.call(unpack(commands[i]))
end
local entries = cmsgpack.unpack(ARGV[4])
for i = 1, #entries do
  local entry = entries[i]
  -- ids are 0-1, 0-2, 0-3 ...: the number is the cursor, and a gap in what was seen shows itself
  local id = redis.call('XADD', entry[1], 'MAXLEN', '~', ARGV[5], '0-*', 'e', entry[3])
  redis.call('PUBLISH', entry[2], string.sub(id, 3) .. ' ' .. entry[3])
end
return 1
