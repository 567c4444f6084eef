-- Gives the lease back. ARGV: prefix, writer.
local p, writer = unpack(ARGV)
if redis.call('GET', p .. 'lock') == writer then
  redis.call('DEL', p .. 'lock')
end
redis.call('ZREM', p .. 'sharers', writer)
return {'ok'}
