//! The service. There is no HTTP here: the host makes HTTP from the contract in wit/.
//!
//! What a function is given is its own: it frees that. What it answers, the bindings free with C's `free` when the host
//! has taken it, so take such memory of `std.heap.raw_c_allocator`.

const contract = @cImport(@cInclude("service.h"));
{{code}}
