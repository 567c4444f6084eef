// The wire types of the admin that the dashboard reads. `host/src/admin` defines them; only the members that a page
// shows are named here.

export type BreakerState = "closed" | "open" | "half-open";

export interface Endpoint {
    id: string;
    place: string;
    node: string | null;
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
    causes: Cause[];
}

/** One thing that is wrong: `next` is a command, `needs` what it does not find on this host. */
export interface Cause {
    cause: string;
    path: string[];
    revision: string | null;
    detail: string;
    next: string;
    needs: string | null;
}

/** What is wrong in the whole host. */
export interface HostWhy {
    of_services: number;
    services: Why[];
    troubles: string[];
    /** Of the last ten minutes. */
    changes: Change[];
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
    canary: Rollout | null;
}

/** The cluster, as this node knows it. */
export interface Nodes {
    nodes: ClusterNode[];
    stale_ms: number | null;
    lease_age_ms: number | null;
    doubted: number;
}

export interface ClusterNode {
    name: string;
    own: boolean;
    zone: string | null;
    address: string;
    standing: string;
    services: NodeService[];
}

export interface NodeService {
    name: string;
    revision: string;
    replicas: number;
    load: number;
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
    /** Nothing where the gateway answers itself. */
    service: string | null;
    answer: string | null;
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
    target: string;
    service: string | null;
    request_id: string | null;
    text: string;
    fields: Record<string, unknown>;
}

export interface Topic {
    name: string;
    payload: string | null;
    /** The number of its latest event. */
    last: number;
    bytes: number;
    subscriptions: Subscription[];
}

export interface Subscription {
    service: string;
    function: string;
    lag: number;
    lag_seconds: number | null;
    /** The number of the oldest event that is tried again. */
    stuck: number | null;
    stuck_key: string | null;
    in_flight: number;
    dead: number;
    handled: number;
    failures: number;
}

/** An event of a topic; without `event` its bytes are damaged. */
export interface TopicEvent {
    number: number;
    event: CloudEvent | null;
}

/** What the pages show of a CloudEvent (CNCF, 1.0). */
export interface CloudEvent {
    time: string;
    partitionkey?: string;
    traceparent?: string;
    data?: unknown;
}

export interface DeadLetter {
    number: number;
    tries: number;
    failures: { at: number; reason: string }[];
    event: CloudEvent | null;
}

export interface Saga {
    id: string;
    saga: string;
    state: string;
    /** In milliseconds since 1970. */
    started: number;
    done: number;
    steps: number;
    failures: number;
    ended?: number;
    step?: string;
    failure?: string;
    turned?: string;
    result?: unknown;
    /** What each step is at; nothing once the saga has ended. */
    plan?: { name: string; state: string }[];
}

export interface Schedule {
    name: string;
    when: string;
    target: string;
    next: number | null;
    under_way: number | null;
    last: { due: number; at: number; error: string | null } | null;
    done: number;
    failures: number;
    given_up: number;
    skipped: number;
}

/** The rollouts of a service, the last one first. */
export interface History {
    service: string;
    serving: string | null;
    manifest: string | null;
    rollouts: Rollout[];
}

export interface Rollout {
    service: string;
    id: number;
    revision: string;
    digest: string;
    phase: string;
    who: string;
    why: string | null;
    /** In seconds since 1970. */
    began: number;
    ended: number | null;
    sentence: string;
    canary: Canary | null;
    shadow: Shadow | null;
}

export interface Canary {
    share: number;
    step: number;
    steps: number;
    seconds_in_step: number;
    step_seconds: number;
    calls_in_step: number;
    calls_needed: number;
    hold: boolean;
    asks: boolean;
    of_canary: Side;
    of_stable: Side;
    /** The evidence against it: at 100 it is rolled back. */
    evidence: { failures: number; new_traps: number; slow_calls: number; memory: number; whole: number };
    slow_above_ms: number | null;
    heavy_above_bytes: number | null;
}

/** The calls of one revision that were judged. */
export interface Side {
    calls: number;
    failed: number;
    slow: number;
    /** Calls that needed much memory. */
    heavy: number;
}

export interface Shadow {
    under_way: boolean;
    compared: number;
    differing: number;
    stopped: number;
    skipped: number;
    differences: { place: string; calls: number; was: string; is: string; request: string }[];
}

/** A line of the audit file. */
export interface AuditEntry {
    seq: number;
    /** RFC 3339. */
    time: string;
    who: string;
    what: string;
    on?: string;
    before?: string;
    after?: string;
    outcome?: string;
    why?: string;
    /** How many refusals before it have no line. */
    left_out?: number;
}
