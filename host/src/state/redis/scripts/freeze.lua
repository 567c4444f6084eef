-- Begins a snapshot: from now on, what is written over is kept for it. ARGV: prefix, snapshot, how long it lives unread.
local p, snapshot, ttl = unpack(ARGV)
snapshots(p)
redis.call('ZADD', p .. 'frozen', now() + tonumber(ttl), snapshot)
return {'ok', facts(p)[1]}
