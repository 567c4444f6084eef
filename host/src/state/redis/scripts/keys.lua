-- A page of keys. ARGV: prefix, bucket, from, to, the most keys.
local p, bucket, from, to, most = unpack(ARGV)
local problem = damage(p, bucket)
if problem then
  return {'damaged', problem}
end
local answer = {'ok'}
for i, key in ipairs(redis.call('ZRANGE', p .. 'keys:' .. bucket, from, to, 'BYLEX', 'LIMIT', 0, tonumber(most))) do
  answer[i + 1] = key
end
return answer
