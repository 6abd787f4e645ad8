-- Take slots for a router's epoch, unless a newer one has them.
-- KEYS[1] hash slot -> epoch; KEYS[2] the account's dispatcher epoch
-- ARGV[1] epoch; ARGV[2], ARGV[3] first and last slot
-- Returns the dispatcher's epoch (0 if there never was one), or -1 when superseded.
local epoch = tonumber(ARGV[1])
local first, last = tonumber(ARGV[2]), tonumber(ARGV[3])
local slots, new = {}, {}
for slot = first, last do
  slots[#slots + 1] = slot
end
local owners = redis.call('HMGET', KEYS[1], unpack(slots))
for i = 1, #slots do
  if owners[i] and tonumber(owners[i]) > epoch then return -1 end
  new[#new + 1] = slots[i]
  new[#new + 1] = ARGV[1]
end
redis.call('HSET', KEYS[1], unpack(new))
return tonumber(redis.call('GET', KEYS[2]) or '0')
