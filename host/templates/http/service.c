// The service, which speaks HTTP itself, by `wasi:http` 0.2.
#include "service.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef exports_wasi_http_incoming_handler_own_incoming_request_t request_t;
typedef exports_wasi_http_incoming_handler_own_response_outparam_t answer_t;
typedef wasi_http_types_tuple2_field_name_field_value_t field_t;

// A stream takes so many bytes at once, as `wasi:io` says.
enum { AT_ONCE = 4096 };

static field_t field(const char *name, const char *value) {
    return (field_t){.f0 = {(uint8_t *)name, strlen(name)}, .f1 = {(uint8_t *)value, strlen(value)}};
}

// Answers with a text. A client that is gone takes no more of it.
static void answer(answer_t to, uint16_t status, const char *text, size_t length, const char *allow) {
    field_t fields[] = {field("content-type", "text/plain; charset=utf-8"), field("allow", allow)};
    wasi_http_types_list_tuple2_field_name_field_value_t list = {fields, *allow == '\0' ? 1 : 2};
    wasi_http_types_own_fields_t headers;
    wasi_http_types_header_error_t wrong;
    wasi_http_types_own_outgoing_body_t body;
    wasi_http_types_own_output_stream_t stream;
    if (!wasi_http_types_static_fields_from_list(&list, &headers, &wrong)) {
        abort();
    }
    wasi_http_types_own_outgoing_response_t response = wasi_http_types_constructor_outgoing_response(headers);
    wasi_http_types_borrow_outgoing_response_t lent = wasi_http_types_borrow_outgoing_response(response);
    if (!wasi_http_types_method_outgoing_response_set_status_code(lent, status) ||
        !wasi_http_types_method_outgoing_response_body(lent, &body) ||
        !wasi_http_types_method_outgoing_body_write(wasi_http_types_borrow_outgoing_body(body), &stream)) {
        abort();
    }
    wasi_http_types_result_own_outgoing_response_error_code_t result = {.is_err = false, .val.ok = response};
    wasi_http_types_static_response_outparam_set(to, &result);

    wasi_io_streams_stream_error_t closed;
    wasi_io_streams_borrow_output_stream_t out = wasi_io_streams_borrow_output_stream(stream);
    for (size_t sent = 0; sent < length; sent += AT_ONCE) {
        size_t left = length - sent;
        service_list_u8_t part = {(uint8_t *)text + sent, left < AT_ONCE ? left : AT_ONCE};
        if (!wasi_io_streams_method_output_stream_blocking_write_and_flush(out, &part, &closed)) {
            wasi_io_streams_stream_error_free(&closed);
            break;
        }
    }
    wasi_io_streams_output_stream_drop_own(stream);
    wasi_http_types_error_code_t failed;
    if (!wasi_http_types_static_outgoing_body_finish(body, NULL, &failed)) {
        wasi_http_types_error_code_free(&failed);
    }
}

static int digit(uint8_t character) {
    return isdigit(character) ? character - '0' : tolower(character) - 'a' + 10;
}

// Replaces each `%41` by its byte. Returns the new length.
static size_t decode(uint8_t *text, size_t length) {
    size_t written = 0;
    for (size_t read = 0; read < length; read++) {
        uint8_t byte = text[read];
        if (byte == '%' && read + 2 < length && isxdigit(text[read + 1]) && isxdigit(text[read + 2])) {
            byte = (uint8_t)(digit(text[read + 1]) * 16 + digit(text[read + 2]));
            read += 2;
        }
        text[written++] = byte;
    }
    return written;
}

// Whether the service knows this path, `/PERSON`, and who the person is.
static bool person_of(const service_string_t *path, uint8_t **person, size_t *length) {
    if (path->len < 2 || path->ptr[0] != '/') {
        return false;
    }
    uint8_t *query = memchr(path->ptr, '?', path->len);
    *person = path->ptr + 1;
    *length = (query == NULL ? path->len : (size_t)(query - path->ptr)) - 1;
    return *length > 0 && memchr(*person, '/', *length) == NULL;
}

void exports_wasi_http_incoming_handler_handle(request_t request, answer_t to) {
    wasi_http_types_borrow_incoming_request_t lent = wasi_http_types_borrow_incoming_request(request);
    service_string_t path = {0};
    wasi_http_types_method_t method;
    wasi_http_types_method_incoming_request_method(lent, &method);
    uint8_t *person;
    size_t length;
    bool is_get = method.tag == WASI_HTTP_TYPES_METHOD_GET;
    wasi_http_types_method_free(&method);
    if (!wasi_http_types_method_incoming_request_path_with_query(lent, &path) || !person_of(&path, &person, &length)) {
        static const char lost[] = "there is nothing at this path\n";
        answer(to, 404, lost, strlen(lost), "");
    } else if (!is_get) {
        static const char other[] = "there is only GET\n";
        answer(to, 405, other, strlen(other), "GET");
    } else {
        char *text = NULL;
        int size = asprintf(&text, "Hello, %.*s!\n", (int)decode(person, length), (const char *)person);
        if (size < 0) {
            abort();
        }
        answer(to, 200, text, (size_t)size, "");
        free(text);
    }
    service_string_free(&path);
    wasi_http_types_incoming_request_drop_own(request);
}
