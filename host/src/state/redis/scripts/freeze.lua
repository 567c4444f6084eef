-- Begins a moment: from now on, what is written over is kept for it. ARGV: prefix, moment, how long it lives unread.
local p, moment, ttl = unpack(ARGV)
moments(p)
redis.call('ZADD', p .. 'frozen', now() + tonumber(ttl), moment)
return {'ok', facts(p)[1]}
