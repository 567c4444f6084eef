//! The service. There is no HTTP here: the host makes HTTP from the contract in wit/.

const std = @import("std");
const contract = @cImport(@cInclude("service.h"));

// The bindings free with C's `free` what they have taken.
const allocator = std.heap.raw_c_allocator;

const Text = contract.service_string_t;
const Greeting = contract.exports_example_{{snake}}_{{snake}}_greeting_t;
const Error = contract.exports_example_{{snake}}_{{snake}}_error_t;

export fn exports_example_{{snake}}_{{snake}}_greet(given: *Text, greeting: *Greeting, failure: *Error) bool {
    defer contract.service_string_free(given);
    const person = given.ptr[0..given.len];
    if (std.mem.eql(u8, person, "nobody")) {
        failure.tag = contract.EXPORTS_EXAMPLE_{{upper}}_{{upper}}_ERROR_NOT_FOUND;
        return false;
    }
    const text = std.fmt.allocPrint(allocator, "Hello, {s}!", .{person}) catch @panic("out of memory");
    greeting.text = .{ .ptr = text.ptr, .len = text.len };
    return true;
}
