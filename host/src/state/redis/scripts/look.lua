-- Whether the data are still the host's, and renews its lease. ARGV: prefix, holder, writer, lease in ms.
local p, holder, writer, lease = unpack(ARGV)
local found = facts(p)
if found[2] ~= holder then
  return moved(found)
end
renew(p, holder, writer, lease)
return {'ok', found[1], found[2], found[3]}
