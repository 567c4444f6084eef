-- Whether a batch is written whose answer was lost. If it is not, it never will be: should it still be on its way, it
-- finds a later number. ARGV: prefix, writer, number of the batch, the number after it.
local p, writer, number, after = unpack(ARGV)
local noted = redis.call('GET', p .. 'batch:' .. writer)
if noted == number then
  return {'written'}
end
redis.call('SET', p .. 'batch:' .. writer, after, 'EX', 2592000)
return {'lost'}
