-- Takes the lease, if nobody else has it, and writes the name of whoever has the data.
-- ARGV: prefix, holder (the writer, or 'shared'), writer, lease in ms, format, whether the name is written, and whether
-- the server was started just now. A lease may have ended while the server was away: then the holder comes first.
local p, holder, writer, lease, format, claims, young = unpack(ARGV)
local found = redis.call('HGET', p .. 'meta', 'format')
if found and found ~= format then
  return {'format', found}
end
local lock, time = redis.call('GET', p .. 'lock'), now()
redis.call('ZREMRANGEBYSCORE', p .. 'sharers', '-inf', time)
if lock and lock ~= writer then
  return {'taken'}
end
local had, released = unpack(redis.call('HMGET', p .. 'meta', 'holder', 'released'))
if young == '1' and had and had ~= '' and had ~= holder and had ~= released then
  return {'taken'}
end
if holder ~= 'shared' and redis.call('ZCARD', p .. 'sharers') > 0 then
  return {'taken'}
end
local now_there = facts(p)
if claims == '1' then
  redis.call('HSET', p .. 'meta', 'format', format, 'holder', holder, 'version', now_there[1], 'released', '')
elseif now_there[2] ~= holder then
  return moved(now_there)
end
renew(p, holder, writer, lease)
return {'ok', now_there[1], holder, now_there[3]}
