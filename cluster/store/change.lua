-- Changes one entry of a section and notes it in the audit trail, or does nothing.
-- KEYS: the section's hash, the audit trail, the account's revision, the notes of changed users
-- ARGV: name, expected ('' = nothing), new ('' = nothing), trail entry, most entries of the hash, kept of the trail,
--       kept of the notes, then the names of the users whom it concerns
-- Returns {'changed', id of the trail entry}, {'outdated'} or {'full'}.
local name, expected, new = ARGV[1], ARGV[2], ARGV[3]
local found = redis.call('HGET', KEYS[1], name) or ''
if found ~= expected then
  return {'outdated'}
end
if found == '' and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[5]) then
  return {'full'}
end
if new == '' then
  redis.call('HDEL', KEYS[1], name)
else
  redis.call('HSET', KEYS[1], name, new)
end
local id = redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[6], '*', 'e', ARGV[4])
redis.call('INCR', KEYS[3])
for at = 8, #ARGV do
  redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[7], '*', 'n', ARGV[at])
end
return {'changed', id}
