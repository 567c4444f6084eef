-- The values of some keys as of a snapshot. ARGV: prefix, snapshot, how long it lives on, bucket, the most bytes, keys.
local p, snapshot, ttl, bucket, most = unpack(ARGV, 1, 5)
if not redis.call('ZSCORE', p .. 'frozen', snapshot) then
  return {'gone'}
end
redis.call('ZADD', p .. 'frozen', now() + tonumber(ttl), snapshot)
local problem = damage_before(p, snapshot, bucket) or damage(p, bucket)
if problem then
  return {'damaged', problem}
end
local answer, bytes = {'ok'}, 0
for i = 6, #ARGV do
  local value = redis.call('HGET', p .. 'before:' .. snapshot, bucket .. '\0' .. ARGV[i])
  if value == '' then
    value = false
  elseif not value then
    value, problem = stored(p, bucket, ARGV[i])
  elseif #value < 8 then
    problem = 'a value that was in ' .. p .. 'values:' .. bucket .. ' had no version'
  end
  if problem then
    return {'damaged', problem}
  end
  if value then
    bytes = bytes + #value - 8
    if bytes > tonumber(most) then
      return {'large'}
    end
  end
  answer[#answer + 1] = value
end
return answer
