// Package export_wasi_http_incoming_handler is the service, which speaks HTTP itself, by `wasi:http` 0.2.
package export_wasi_http_incoming_handler

import (
	"net/url"
	"strings"

	types "go.bytecodealliance.org/pkg/wit/types"
	http "wit_component/wasi_http_types"
)

// A stream takes so many bytes at once, as `wasi:io` says.
const atOnce = 4096

type field = types.Tuple2[string, []uint8]

// Handle answers a request.
func Handle(request *http.IncomingRequest, to *http.ResponseOutparam) {
	defer request.Drop()
	path, _, _ := strings.Cut(request.PathWithQuery().SomeOr("/"), "?")
	person, err := url.PathUnescape(strings.TrimPrefix(path, "/"))
	if err != nil || person == "" || strings.Count(path, "/") != 1 {
		answer(to, 404, "there is nothing at this path\n")
		return
	}
	if request.Method().Tag() != http.Method_Get {
		answer(to, 405, "there is only GET\n", field{F0: "allow", F1: []byte("GET")})
		return
	}
	answer(to, 200, "Hello, "+person+"!\n")
}

// answer answers with a text. A client that is gone takes no more of it.
func answer(to *http.ResponseOutparam, status uint16, text string, more ...field) {
	headers := append([]field{{F0: "content-type", F1: []byte("text/plain; charset=utf-8")}}, more...)
	response := http.MakeOutgoingResponse(http.FieldsFromList(headers).Ok())
	response.SetStatusCode(status).Ok()
	body := response.Body().Ok()
	stream := body.Write().Ok()
	http.ResponseOutparamSet(to, types.Ok[*http.OutgoingResponse, http.ErrorCode](response))
	for left := []byte(text); len(left) > 0; {
		part := left[:min(len(left), atOnce)]
		if stream.BlockingWriteAndFlush(part).IsErr() {
			break
		}
		left = left[len(part):]
	}
	stream.Drop()
	http.OutgoingBodyFinish(body, types.None[*http.Fields]())
}
