// The wire types of the admin that the dashboard reads. `host/src/admin` defines them; only the members that a page
// shows are named here.

export type BreakerState = "closed" | "open" | "half-open";

export interface Endpoint {
    id: string;
    place: string;
    breaker: BreakerState;
    forced: boolean;
    ready: boolean;
    starting: boolean;
    ejected: boolean;
    weight: number;
    latency_ms: number | null;
    requests: number;
    failures: number;
    in_flight: number;
}

/** What a service did in the last minute. */
export interface Rates {
    requests_per_second: number;
    error_share: number;
    p50_ms: number | null;
    p99_ms: number | null;
    refused: number;
    retries: number;
}

export interface Service {
    name: string;
    revision: string | null;
    digest: string | null;
    age_seconds: number | null;
    differs_from_manifest: boolean;
    previous: string | null;
    endpoints: Endpoint[];
    balance: string;
    waiting: number;
    pool: { held: number; waiting: number; longest_wait_ms: number } | null;
    faults: Fault[];
    left_out: string | null;
    rates?: Rates;
}

export interface Fault {
    id: number;
    service: string;
    latency_ms: number;
    latency_share: string;
    error: string;
    trap: string;
    seconds_left: number | null;
    origin: "manifest" | "operator";
}

export interface Outside {
    service: string;
    host: string;
    breaker: BreakerState;
    requests: number;
    failures: number;
    in_flight: number;
}

export interface Route {
    matches: string;
    service: string;
    call: string | null;
    rewrite: string | null;
    auth: string[] | null;
    scopes: string[];
    left_out: string | null;
}

export interface TraceSummary {
    id: string;
    request_id: string;
    began: number;
    duration_ms: number;
    name: string;
    status: number;
    rule: string;
    weight: number;
    services: string[];
    spans: number;
    error: string | null;
}

export interface Span {
    id: string;
    parent: string | null;
    link: string | null;
    kind: string;
    name: string;
    service: string | null;
    revision: string | null;
    start_ms: number;
    duration_ms: number;
    error: string | null;
    attributes: Record<string, unknown>;
}

export interface Trace extends Omit<TraceSummary, "spans"> {
    route: string;
    lost_spans: number;
    stranger: string | null;
    spans: Span[];
}

/** RFC 9457. */
export interface Problem {
    type: string;
    title: string;
    status: number;
    detail: string;
}

/** The calls of one service by another, in the last minute. */
export interface Call {
    caller: string;
    callee: string;
    requests_per_second: number;
    failures_per_second: number;
}

export interface TrapReport {
    id: number;
    service: string;
    revision: string;
    kind: string;
    cause: string;
    frames: string[];
    error_output: string;
    request_id: string;
    request: { method: string; route: string } | null;
    count: number;
    /** In milliseconds since 1970. */
    first: number;
    last: number;
}

export interface Change {
    id: number;
    /** In milliseconds since 1970. */
    time: number;
    kind: string;
    service: string;
    endpoint: string | null;
    reason: string;
    by: string | null;
}

export interface LogLine {
    id: number;
    /** In milliseconds since 1970. */
    time: number;
    level: string;
    service: string | null;
    text: string;
}
