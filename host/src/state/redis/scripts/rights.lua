-- Whether the user may do all that the scripts do. ARGV: prefix.
local problem = lacking(ARGV[1])
if problem then
  return {'unfit', problem}
end
return {'ok'}
