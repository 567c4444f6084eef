-- Deletes a bucket at once, if nobody has written since the erasure began, and nobody reads a snapshot, or if it is
-- damaged, so that nobody can do either; or else some keys of it, without those that were written since: each is kept
-- for the snapshots that are read.
-- ARGV: prefix, holder, writer, number of the batch, lease in ms, bucket; then, for the parts: the latest version that
-- is deleted, where the part begins, how many keys it looks at.
-- Answers how many were deleted, the key after which the next part begins, if there is one, and the version afterwards.
local p, holder, writer, number, lease, bucket, latest, from, most = unpack(ARGV)
local problem, damaged = unfit(p), damage(p, bucket)
if problem then
  return {'unfit', problem}
end
local found = facts(p)
if found[2] ~= holder then
  return moved(found)
end
if is_late(p, writer, number) then
  return {'late'}
end
local live, doomed, count, last, version = snapshots(p), {}, 0, '', found[1]
local at_once = damaged or (#live == 0 and version == latest)
if damaged then
  count = 1
elseif at_once then
  count = redis.call('HLEN', p .. 'values:' .. bucket)
else
  local keys = redis.call('ZRANGE', p .. 'keys:' .. bucket, from, '+', 'BYLEX', 'LIMIT', 0, tonumber(most))
  for _, key in ipairs(keys) do
    local value = redis.call('HGET', p .. 'values:' .. bucket, key)
    if not value or #value < 8 or struct.unpack('>I8', value) <= tonumber(latest) then
      doomed[#doomed + 1] = key
    end
  end
  count = #doomed
  if #keys == tonumber(most) then
    last = keys[#keys]
  end
end
if count > 0 then
  -- A server that lacks the erasure has an older version, and is known by it.
  version = string.format('%.0f', redis.call('HINCRBY', p .. 'meta', 'version', 1))
end
redis.call('HSET', p .. 'meta', 'token', writer .. '/' .. number)
if damaged then
  keep_damage(p, live, bucket)
end
if at_once then
  redis.call('UNLINK', p .. 'values:' .. bucket, p .. 'keys:' .. bucket)
end
for _, key in ipairs(doomed) do
  keep(p, live, bucket, key)
  delete(p, bucket, key)
end
note(p, writer, number)
renew(p, holder, writer, lease)
return {'ok', tostring(count), last, version}
