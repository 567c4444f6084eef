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

/** What is used of something, and its limit; 0: there is none. */
export interface Use {
    used: number;
    limit: number;
}

/** How a service fares: its traffic of the last minute, its use beside its limits, and what happened last. */
export interface Overview {
    service: string;
    requests_per_second: number;
    failed_percent: number;
    p99_ms: number | null;
    refused: number;
    retries: number;
    in_flight: Use;
    waiting: Use;
    body_memory: Use;
    pool: Use;
    /** The services that called it. */
    callers: { caller: string; calls_per_second: number; failures_per_second: number }[];
    last_error: { seconds_ago: number; kind: string; detail: string } | null;
}

/** Why a service does not fare well. */
export interface Why {
    service: string;
    well: boolean;
    causes: { cause: string; path: string[]; revision: string | null; detail: string; next: string }[];
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
    span_count: number;
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

export interface Trace extends TraceSummary {
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
    /** RFC 3339. */
    first: string;
    last: string;
}

export interface Change {
    number: number;
    /** RFC 3339. */
    time: string;
    kind: string;
    service: string;
    endpoint: string | null;
    reason: string;
    by: string | null;
}

export interface LogLine {
    number: number;
    /** RFC 3339. */
    time: string;
    level: string;
    target: string;
    service: string | null;
    request_id: string | null;
    message: string;
    fields: Record<string, unknown>;
}
