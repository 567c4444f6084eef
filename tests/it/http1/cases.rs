//! The table of raw requests. RFC numbers and sections are those of the rules.

/// The service behind the gateway answers with what it saw of the request.
pub struct Case {
    /// The rule.
    pub rule: &'static str,
    /// What the client sends on a new connection.
    pub sent: &'static str,
    /// The statuses of the answers, in order. After the last one no more comes.
    pub statuses: &'static [u16],
    /// The last part of the problem's type in the last answer; empty if it is no problem.
    pub problem: &'static str,
    /// Whether the last answer says `Connection: close`, and the connection ends.
    pub closes: bool,
}

const fn refused(rule: &'static str, sent: &'static str, statuses: &'static [u16], problem: &'static str) -> Case {
    Case { rule, sent, statuses, problem, closes: true }
}

const fn served(rule: &'static str, sent: &'static str, statuses: &'static [u16]) -> Case {
    Case { rule, sent, statuses, problem: "", closes: false }
}

const fn last(rule: &'static str, sent: &'static str, statuses: &'static [u16]) -> Case {
    Case { rule, sent, statuses, problem: "", closes: true }
}

pub const CASES: &[Case] = &[
    // The host of a request. `shop` has a route of its own; a host that is no host must not pass by the other one.
    refused("3986 3.2.3", "GET /x HTTP/1.1\r\nHost: a:b\r\n\r\n", &[400], "bad-host"),
    refused("3986 3.2.3", "GET /x HTTP/1.1\r\nHost: a:80x\r\n\r\n", &[400], "bad-host"),
    refused("3986 3.2.3", "GET /x HTTP/1.1\r\nHost: shop:80x\r\n\r\n", &[400], "bad-host"),
    refused("3986 3.2.3", "GET /x HTTP/1.1\r\nHost: a:65536\r\n\r\n", &[400], "bad-host"),
    refused("3986 3.2.3", "GET /x HTTP/1.1\r\nHost: :80\r\n\r\n", &[400], "bad-host"),
    refused("3986 3.2.2", "GET /x HTTP/1.1\r\nHost: [zz]\r\n\r\n", &[400], "bad-host"),
    refused("3986 3.2.2", "GET /x HTTP/1.1\r\nHost: [::1]x\r\n\r\n", &[400], "bad-host"),
    refused("3986 3.2.2", "GET /x HTTP/1.1\r\nHost: [::1\r\n\r\n", &[400], "bad-host"),
    refused("3986 3.2.2", "GET /x HTTP/1.1\r\nHost: ::1\r\n\r\n", &[400], "bad-host"),
    refused("3986 3.2.2", "GET /x HTTP/1.1\r\nHost: a%00\r\n\r\n", &[400], "bad-host"),
    refused("3986 3.2.2", "GET /x HTTP/1.1\r\nHost: a,shop\r\n\r\n", &[400], "bad-host"),
    refused("9110 7.2", "GET /x HTTP/1.1\r\nHost: u@shop\r\n\r\n", &[400], "bad-host"),
    refused("9112 3.2", "GET /x HTTP/1.1\r\nHost: \r\n\r\n", &[400], "bad-host"),
    refused("9112 3.2", "GET /x HTTP/1.1\r\n\r\n", &[400], "bad-host"),
    refused("9112 3.2", "GET /x HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", &[400], "bad-host"),
    refused("9112 3.2.2", "GET http://b/x HTTP/1.1\r\nHost: a\r\n\r\n", &[400], "bad-host"),
    refused("9112 3.2.2", "GET http://a:b/x HTTP/1.1\r\nHost: a\r\n\r\n", &[400], ""),
    served("9112 3.2.2", "GET http://A:80/x HTTP/1.1\r\nHost: a\r\n\r\n", &[200]),
    served("9110 4.2.3", "GET /x HTTP/1.1\r\nHost: a:\r\n\r\n", &[200]),
    served("3986 3.2.2", "GET /x HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", &[200]),
    // What is left lenient, or refused by hyper, at the request line.
    served("9112 3.2.1", "GET /x#part HTTP/1.1\r\nHost: a\r\n\r\n", &[200]),
    refused("9110 2.5", "GET /x HTTP/1.2\r\nHost: a\r\n\r\n", &[400], ""),
    // Transfer codings.
    refused(
        "9112 7",
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        &[400],
        "transfer-coding-twice",
    ),
    refused(
        "9112 7",
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n",
        &[400],
        "transfer-coding-twice",
    ),
    refused(
        "9112 6.1",
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        &[501],
        "transfer-coding",
    ),
    // Trailer sections. The request after one is not read.
    last(
        "9110 6.5.1, 9112 7.1.2",
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Forwarded-For, X-Request-Id, \
         X-Atoll-Depth, Cookie, Connection\r\n\r\n2\r\nhi\r\n0\r\nX-Forwarded-For: 9.9.9.9\r\nX-Request-Id: mine\r\n\
         X-Atoll-Depth: 9\r\nCookie: a=b\r\nConnection: x\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n",
        &[200],
    ),
    last(
        "9112 7.1.2",
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: a\n\r\n\r\n\
         GET /x HTTP/1.1\r\nHost: a\r\n\r\n",
        &[200],
    ),
    served(
        "9112 7.1",
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n\
         GET /x HTTP/1.1\r\nHost: a\r\n\r\n",
        &[200, 200],
    ),
    // Empty lines before requests.
    served(
        "9112 2.2",
        "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n",
        &[200, 200],
    ),
    served("9112 2.2", "\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n", &[200]),
    // Other protocols.
    refused(
        "9110 7.8",
        "GET /x HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        &[501],
        "upgrade",
    ),
    last("9110 7.8", "GET /x HTTP/1.0\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", &[200]),
    // A refusal that leaves a body unread.
    refused("9112 9.6", "POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhi", &[404], "no-route"),
    refused(
        "9112 9.6",
        "POST /nowhere HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",
        &[404],
        "no-route",
    ),
    refused(
        "9110 10.1.1",
        "POST /nowhere HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
        &[404],
        "no-route",
    ),
    Case {
        rule: "9112 9.3",
        sent: "POST /no HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhiGET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n",
        statuses: &[404, 404],
        problem: "no-route",
        closes: false,
    },
];
