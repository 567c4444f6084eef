-- Deletes a bucket at once; or, while somebody reads a moment, some keys of it, of which each is kept for that moment.
-- ARGV: prefix, holder, writer, number of the batch, lease in ms, bucket; then, for the parts: the latest version that
-- is deleted, where the part begins, how many keys it looks at.
-- Answers how many were deleted, and the key after which the next part begins, if there is one.
local p, holder, writer, number, lease, bucket, latest, from, most = unpack(ARGV)
local found = facts(p)
if found[2] ~= holder then
  return moved(found)
end
if is_late(p, writer, number) then
  return {'late'}
end
local live, count, last = moments(p), 0, ''
if #live == 0 then
  count = redis.call('HLEN', p .. 'values:' .. bucket)
  redis.call('UNLINK', p .. 'values:' .. bucket, p .. 'keys:' .. bucket)
else
  local keys = redis.call('ZRANGE', p .. 'keys:' .. bucket, from, '+', 'BYLEX', 'LIMIT', 0, tonumber(most))
  for _, key in ipairs(keys) do
    local value = redis.call('HGET', p .. 'values:' .. bucket, key)
    if not value or struct.unpack('>I8', value) <= tonumber(latest) then
      keep(p, live, bucket, key)
      delete(p, bucket, key)
      count = count + 1
    end
  end
  if #keys == tonumber(most) then
    last = keys[#keys]
  end
end
note(p, writer, number)
renew(p, holder, writer, lease)
return {'ok', tostring(count), last}
