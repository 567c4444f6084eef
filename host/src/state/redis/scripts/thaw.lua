-- Ends a snapshot. ARGV: prefix, snapshot.
thaw(ARGV[1], ARGV[2])
return {'ok'}
