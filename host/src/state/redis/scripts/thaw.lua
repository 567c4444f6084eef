-- Ends a moment. ARGV: prefix, moment.
thaw(ARGV[1], ARGV[2])
return {'ok'}
