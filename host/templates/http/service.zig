//! The service, which speaks HTTP itself, by `wasi:http` 0.2.

const std = @import("std");
const http = @cImport(@cInclude("service.h"));

// The bindings free with C's `free` what they have taken.
const allocator = std.heap.raw_c_allocator;

const Field = http.wasi_http_types_tuple2_field_name_field_value_t;
const Request = http.exports_wasi_http_incoming_handler_own_incoming_request_t;
const Answer = http.exports_wasi_http_incoming_handler_own_response_outparam_t;

/// A stream takes so many bytes at once, as `wasi:io` says.
const at_once = 4096;

export fn exports_wasi_http_incoming_handler_handle(request: Request, to: Answer) void {
    defer http.wasi_http_types_incoming_request_drop_own(request);
    const lent = http.wasi_http_types_borrow_incoming_request(request);
    var method: http.wasi_http_types_method_t = undefined;
    http.wasi_http_types_method_incoming_request_method(lent, &method);
    defer http.wasi_http_types_method_free(&method);
    var path: http.service_string_t = undefined;
    if (!http.wasi_http_types_method_incoming_request_path_with_query(lent, &path)) {
        return answer(to, 404, "there is nothing at this path\n", null);
    }
    defer http.service_string_free(&path);
    const person = personOf(path.ptr[0..path.len]) orelse
        return answer(to, 404, "there is nothing at this path\n", null);
    if (method.tag != http.WASI_HTTP_TYPES_METHOD_GET) {
        return answer(to, 405, "there is only GET\n", "GET");
    }
    const text = std.fmt.allocPrint(allocator, "Hello, {s}!\n", .{person}) catch @panic("out of memory");
    defer allocator.free(text);
    answer(to, 200, text, null);
}

/// The person of the path `/PERSON`; `null` for other paths. What `%41` stands for takes its place.
fn personOf(path: []u8) ?[]u8 {
    const end = std.mem.indexOfScalar(u8, path, '?') orelse path.len;
    if (end < 2 or path[0] != '/' or std.mem.indexOfScalar(u8, path[1..end], '/') != null) return null;
    return std.Uri.percentDecodeInPlace(path[1..end]);
}

/// Answers with a text. A client that is gone takes no more of it.
fn answer(to: Answer, status: u16, text: []const u8, allow: ?[]const u8) void {
    var fields = [_]Field{ field("content-type", "text/plain; charset=utf-8"), field("allow", allow orelse "") };
    var list: http.wasi_http_types_list_tuple2_field_name_field_value_t = .{
        .ptr = &fields,
        .len = if (allow == null) 1 else 2,
    };
    var headers: http.wasi_http_types_own_fields_t = undefined;
    var wrong: http.wasi_http_types_header_error_t = undefined;
    must(http.wasi_http_types_static_fields_from_list(&list, &headers, &wrong));
    const response = http.wasi_http_types_constructor_outgoing_response(headers);
    const lent = http.wasi_http_types_borrow_outgoing_response(response);
    must(http.wasi_http_types_method_outgoing_response_set_status_code(lent, status));
    var body: http.wasi_http_types_own_outgoing_body_t = undefined;
    must(http.wasi_http_types_method_outgoing_response_body(lent, &body));
    var stream: http.wasi_http_types_own_output_stream_t = undefined;
    must(http.wasi_http_types_method_outgoing_body_write(http.wasi_http_types_borrow_outgoing_body(body), &stream));
    var result: http.wasi_http_types_result_own_outgoing_response_error_code_t = .{
        .is_err = false,
        .val = .{ .ok = response },
    };
    http.wasi_http_types_static_response_outparam_set(to, &result);

    var closed: http.wasi_io_streams_stream_error_t = undefined;
    const out = http.wasi_io_streams_borrow_output_stream(stream);
    var parts = std.mem.window(u8, text, at_once, at_once);
    while (parts.next()) |part| {
        var bytes: http.service_list_u8_t = .{ .ptr = @constCast(part.ptr), .len = part.len };
        if (!http.wasi_io_streams_method_output_stream_blocking_write_and_flush(out, &bytes, &closed)) {
            http.wasi_io_streams_stream_error_free(&closed);
            break;
        }
    }
    http.wasi_io_streams_output_stream_drop_own(stream);
    var failed: http.wasi_http_types_error_code_t = undefined;
    if (!http.wasi_http_types_static_outgoing_body_finish(body, null, &failed)) {
        http.wasi_http_types_error_code_free(&failed);
    }
}

fn field(name: []const u8, value: []const u8) Field {
    return .{
        .f0 = .{ .ptr = @constCast(name.ptr), .len = name.len },
        .f1 = .{ .ptr = @constCast(value.ptr), .len = value.len },
    };
}

fn must(done: bool) void {
    if (!done) @panic("the host refuses a part of the answer");
}
