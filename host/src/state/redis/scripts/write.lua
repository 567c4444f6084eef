-- Writes a batch whole, if the data are still the host's, and as they were when the batch was reckoned.
-- ARGV: prefix, holder, writer, number of the batch, token, version afterwards, lease in ms;
-- then 'p' or 'd', bucket, key, value for each key.
local p, holder, writer, number, token, version, lease = unpack(ARGV, 1, 7)
local problem, looked = unfit(p), {}
if problem then
  return {'unfit', problem}
end
for i = 8, #ARGV, 4 do
  local bucket = ARGV[i + 1]
  problem = not looked[bucket] and damage(p, bucket)
  if problem then
    return {'damaged', problem, bucket}
  end
  looked[bucket] = true
end
local found = facts(p)
if found[2] ~= holder or found[3] ~= token then
  return moved(found)
end
if is_late(p, writer, number) then
  return {'late'}
end
local live = snapshots(p)
-- First, so that no version is given to two values, whatever should happen.
redis.call('HSET', p .. 'meta', 'version', version, 'token', writer .. '/' .. number)
for i = 8, #ARGV, 4 do
  local bucket, key = ARGV[i + 1], ARGV[i + 2]
  keep(p, live, bucket, key)
  if ARGV[i] == 'p' then
    put(p, bucket, key, ARGV[i + 3])
  else
    delete(p, bucket, key)
  end
end
note(p, writer, number)
renew(p, holder, writer, lease)
return {'ok', '0', ''}
