-- A page of entries. ARGV: prefix, bucket, from, to, the most entries, the most bytes.
-- Answers whether more follow, and keys with their values.
local p, bucket, from, to, limit, most = unpack(ARGV)
local problem = damage(p, bucket)
if problem then
  return {'damaged', problem}
end
limit, most = tonumber(limit), tonumber(most)
local keys = redis.call('ZRANGE', p .. 'keys:' .. bucket, from, to, 'BYLEX', 'LIMIT', 0, limit + 1)
local answer, bytes = {'0'}, 0
for i, key in ipairs(keys) do
  if i > limit then
    answer[1] = '1'
    break
  end
  local value, short = stored(p, bucket, key)
  if short or not value then
    return {'damaged', short or 'a key in ' .. p .. 'keys:' .. bucket .. ' has no value'}
  end
  bytes = bytes + #key + #value - 8
  if i > 1 and bytes > most then
    answer[1] = '1'
    break
  end
  answer[#answer + 1] = key
  answer[#answer + 1] = value
end
return answer
