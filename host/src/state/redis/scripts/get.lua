-- The values of some keys, unless they are too many bytes. ARGV: prefix, bucket, the most bytes, keys.
local p, bucket, most = unpack(ARGV, 1, 3)
local problem = damage(p, bucket)
if problem then
  return {'damaged', problem}
end
local hash, bytes, answer = p .. 'values:' .. bucket, 0, {'ok'}
most = tonumber(most)
for i = 4, #ARGV do
  bytes = bytes + math.max(redis.call('HSTRLEN', hash, ARGV[i]) - 8, 0)
  if bytes > most then
    return {'large'}
  end
end
for i = 4, #ARGV do
  answer[#answer + 1], problem = stored(p, bucket, ARGV[i])
  if problem then
    return {'damaged', problem}
  end
end
return answer
