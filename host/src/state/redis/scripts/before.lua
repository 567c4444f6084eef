-- What a batch depends on. ARGV: prefix; then bucket, key, and whether the value is needed ('1') or its version.
-- Answers version, holder and token of the data; then what is there, each a version of 8 bytes and perhaps the value.
local p, looked = ARGV[1], {}
local answer = facts(p)
for i = 2, #ARGV, 3 do
  local bucket = ARGV[i]
  local problem = not looked[bucket] and damage(p, bucket)
  if problem then
    return {'damaged', problem, bucket}
  end
  looked[bucket] = true
  local value, short = stored(p, bucket, ARGV[i + 1])
  if short then
    return {'damaged', short, bucket, ARGV[i + 1]}
  end
  if value and ARGV[i + 2] ~= '1' then
    value = string.sub(value, 1, 8)
  end
  answer[#answer + 1] = value
end
return answer
