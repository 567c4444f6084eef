-- Whether a batch is written whose answer was lost. If it is not, it never will be: should it still be on its way, it
-- finds a later number. This question may itself come late, when nobody waits for its answer: then it leaves the number
-- of a later batch as it is. ARGV: prefix, writer, number of the batch, the number after it.
local p, writer, number, after = unpack(ARGV)
local noted = redis.call('GET', p .. 'batch:' .. writer)
if noted == number then
  return {'written'}
end
if noted and tonumber(noted) > tonumber(after) then
  return {'late'}
end
note(p, writer, after)
return {'lost'}
