-- The values of some keys, unless they are too many bytes. ARGV: prefix, bucket, the most bytes, keys.
local hash, most, bytes, answer = ARGV[1] .. 'values:' .. ARGV[2], tonumber(ARGV[3]), 0, {}
for i = 4, #ARGV do
  bytes = bytes + math.max(redis.call('HSTRLEN', hash, ARGV[i]) - 8, 0)
  if bytes > most then
    return {'large'}
  end
end
answer[1] = 'ok'
for i = 4, #ARGV do
  answer[#answer + 1] = redis.call('HGET', hash, ARGV[i])
end
return answer
