-- A page as of a snapshot, in two parts: what is there now, and what was there before it was written over; of those an
-- empty value says that it was absent. ARGV: prefix, snapshot, how long it lives on, bucket, from, to (with their first
-- byte, '[' or '('), the most entries, the most bytes.
-- Answers for each part whether more follow, and the number of its entries; then the entries of both.
local p, snapshot, ttl, bucket, from, to, limit, most = unpack(ARGV)
if not redis.call('ZSCORE', p .. 'frozen', snapshot) then
  return {'gone'}
end
redis.call('ZADD', p .. 'frozen', now() + tonumber(ttl), snapshot)
local problem = damage_before(p, snapshot, bucket) or damage(p, bucket)
if problem then
  return {'damaged', problem}
end
limit, most = tonumber(limit), tonumber(most)
local answer = {'ok', '0', '0', '0', '0'}

local function part(at, index, hash, strip, first, last)
  local keys, bytes, count = redis.call('ZRANGE', index, first, last, 'BYLEX', 'LIMIT', 0, limit + 1), 0, 0
  for i, key in ipairs(keys) do
    local value = i <= limit and redis.call('HGET', hash, key)
    local was_absent = strip > 0 and value == ''
    if i <= limit and not was_absent and (not value or #value < 8) then
      problem = 'a key in ' .. index .. ' has no value with a version'
      break
    end
    if value then
      bytes = bytes + #key + #value - strip
    end
    if not value or (i > 1 and bytes > most) then
      answer[at] = '1'
      break
    end
    count = count + 1
    answer[#answer + 1] = string.sub(key, strip + 1)
    answer[#answer + 1] = value
  end
  answer[at + 1] = tostring(count)
end

local function within(bound)
  return string.sub(bound, 1, 1) .. bucket .. '\0' .. string.sub(bound, 2)
end

part(2, p .. 'keys:' .. bucket, p .. 'values:' .. bucket, 0, from, to)
part(4, p .. 'changed:' .. snapshot, p .. 'before:' .. snapshot, #bucket + 1, within(from), within(to))
if problem then
  return {'damaged', problem}
end
return answer
