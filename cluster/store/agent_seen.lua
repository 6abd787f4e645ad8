-- Notes what agents have seen of the conversations on their desks, and shows it to the contacts' open sockets.
-- KEYS[1] hash conversation -> agent who holds it; KEYS[2] hash contact -> id of the newest message seen;
-- then for each conversation its record and its session list
-- ARGV[1] prefix of the contacts' channels; then for each conversation its id, the agent, the number seen
for n = 1, (#KEYS - 2) / 2 do
  local conversation, agent, seq = ARGV[3 * n - 1], ARGV[3 * n], tonumber(ARGV[3 * n + 1])
  local record = redis.call('GET', KEYS[2 * n + 1])
  if record and redis.call('HGET', KEYS[1], conversation) == agent then
    local contact = cjson.decode(record).contact
    -- a number that is not there yet would show the next message as seen
    seq = math.min(seq, redis.call('LLEN', KEYS[2 * n + 2]))
    local before, known = string.match(redis.call('HGET', KEYS[2], contact) or '', '^(.*)%-(%d+)$')
    if not before or before < conversation or (before == conversation and tonumber(known) < seq) then
      redis.call('HSET', KEYS[2], contact, string.format('%s-%d', conversation, seq))
      local event = string.format('[{"type":"seen","conversation":"%s","seq":%d}]', conversation, seq)
      redis.call('PUBLISH', ARGV[1] .. contact, event)
    end
  end
end
return 1
