-- Gives the lease back. ARGV: prefix, writer.
local p, writer = unpack(ARGV)
if redis.call('GET', p .. 'lock') == writer then
  redis.call('DEL', p .. 'lock')
end
redis.call('ZREM', p .. 'sharers', writer)
local holder = redis.call('HGET', p .. 'meta', 'holder')
if holder == writer or (holder == 'shared' and redis.call('ZCARD', p .. 'sharers') == 0) then
  redis.call('HSET', p .. 'meta', 'released', holder)
end
return {'ok'}
