-- A page of entries. ARGV: prefix, bucket, from, to, the most entries, the most bytes.
-- Answers whether more follow, and keys with their values.
local p, bucket, from, to, limit, most = unpack(ARGV)
limit, most = tonumber(limit), tonumber(most)
local keys = redis.call('ZRANGE', p .. 'keys:' .. bucket, from, to, 'BYLEX', 'LIMIT', 0, limit + 1)
local answer, bytes = {'0'}, 0
for i, key in ipairs(keys) do
  local value = i <= limit and redis.call('HGET', p .. 'values:' .. bucket, key)
  if value then
    bytes = bytes + #key + #value - 8
  end
  if not value or (i > 1 and bytes > most) then
    answer[1] = '1'
    break
  end
  answer[#answer + 1] = key
  answer[#answer + 1] = value
end
return answer
