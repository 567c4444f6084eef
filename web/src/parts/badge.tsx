// A word with a colour. The word says it all: whoever sees no colour misses nothing.

import type { BreakerState, Endpoint, Rollout, Service } from "../api/types";

export type Tone = "good" | "warn" | "bad" | "plain";

export function Badge({ tone, children }: { tone: Tone; children: preact.ComponentChildren }) {
    return <span class={`badge ${tone}`}>{children}</span>;
}

const CIRCUIT: Record<BreakerState, Tone> = { closed: "good", "half-open": "warn", open: "bad" };

export function Circuit({ state, forced }: { state: BreakerState; forced: boolean }) {
    return (
        <Badge tone={CIRCUIT[state]}>
            {state}
            {forced ? " (by an operator)" : ""}
        </Badge>
    );
}

/** The worst that can be said of an endpoint. */
export function endpointState(endpoint: Endpoint): { tone: Tone; word: string } {
    if (endpoint.starting) return { tone: "warn", word: "starting" };
    if (!endpoint.ready) return { tone: "bad", word: "not ready" };
    if (endpoint.breaker === "open") return { tone: "bad", word: "circuit open" };
    if (endpoint.ejected) return { tone: "warn", word: "ejected" };
    if (endpoint.breaker === "half-open") return { tone: "warn", word: "circuit half-open" };
    return { tone: "good", word: "serves" };
}

/** The worst that can be said of a service: what an operator looks for first. */
export function serviceState(service: Service): { tone: Tone; word: string } {
    if (service.left_out) return { tone: "bad", word: "left out" };
    const states = service.endpoints.map(endpointState);
    const bad = states.filter((state) => state.tone === "bad");
    const first = bad[0] ?? states.find((state) => state.tone === "warn");
    if (!first)
        return service.faults.length > 0
            ? { tone: "warn", word: "fault on purpose" }
            : { tone: "good", word: "serves" };
    if (bad.length > 0 && bad.length < states.length)
        return { tone: "warn", word: `${bad.length} of ${states.length} ${first.word}` };
    return first;
}

const PHASE: Record<string, Tone> = {
    shadow: "warn",
    canary: "warn",
    promoted: "good",
    "rolled-back": "bad",
    aborted: "plain",
    superseded: "plain",
};

/** What a rollout is at, or how it ended. */
export function Phase({ of }: { of: Rollout }) {
    return <Badge tone={PHASE[of.phase] ?? "plain"}>{of.canary ? `${of.phase} ${of.canary.share} %` : of.phase}</Badge>;
}
