// What the host does now: one stream and one reading every two seconds for all pages, however many charts they have. A
// hidden tab reads nothing.

import { computed, signal } from "@preact/signals";
import { RequestError, read, tokenMissing } from "./api/client";
import { events } from "./api/stream";
import type { Change, Endpoint, Outside, Overview, Service } from "./api/types";

/** Between two readings, in milliseconds. */
const INTERVAL = 2000;
/** How far charts reach back, in readings. */
export const KEPT = 150;

/** A service between two readings. */
export interface Sample {
    time: number;
    perSecond: number;
    failedPerSecond: number;
    inFlight: number;
}

export const services = signal<Service[] | null>(null);
export const outside = signal<Outside[]>([]);
/** The last minute of each service, once a second. */
export const rates = signal<ReadonlyMap<string, Overview>>(new Map());
/** The newest change of the host since the page was opened. */
export const newest = signal<Change | null>(null);
/** Why the last reading failed; nothing while the host answers. */
export const offline = signal<string | null>(null);
export const paused = signal(false);
/** How many actions have been taken: after each of them a page reads again. */
export const actions = signal(0);
/** The newest sample is the last one. */
export const history = signal<ReadonlyMap<string, readonly Sample[]>>(new Map());

/** What this node sent to each other node of the cluster, between the last two readings. */
export const toNodes = signal<ReadonlyMap<string, Sample>>(new Map());

export const now = computed(() => {
    const latest = new Map<string, Sample>();
    for (const [name, samples] of history.value) {
        const sample = samples.at(-1);
        if (sample) latest.set(name, sample);
    }
    return latest;
});

let before: { time: number; totals: Map<string, Totals>; ofNodes: Map<string, Totals> } | null = null;

interface Totals {
    requests: number;
    failures: number;
    inFlight: number;
}

function totals(endpoints: Endpoint[]): Totals {
    const sum = { requests: 0, failures: 0, inFlight: 0 };
    for (const endpoint of endpoints) {
        sum.requests += endpoint.requests;
        sum.failures += endpoint.failures;
        sum.inFlight += endpoint.in_flight;
    }
    return sum;
}

/** The totals of the other nodes' endpoints. */
function totalsOfNodes(all: Service[]): Map<string, Totals> {
    const remote = all.flatMap(({ endpoints }) => endpoints.filter(({ node }) => node !== null));
    const byNode = Map.groupBy(remote, ({ node }) => node ?? "");
    return new Map([...byNode].map(([node, endpoints]) => [node, totals(endpoints)]));
}

/** What happened between two readings. Counters that went down are those of a restarted host, and say nothing. */
function between(was: Totals | undefined, is: Totals, seconds: number): Sample | null {
    if (!was || is.requests < was.requests) return null;
    return {
        time: Date.now(),
        perSecond: (is.requests - was.requests) / seconds,
        failedPerSecond: (is.failures - was.failures) / seconds,
        inFlight: is.inFlight,
    };
}

/** Adds the difference between two readings to the history. */
function remember(read: Service[]): void {
    const time = performance.now();
    const current = new Map(read.map((service) => [service.name, totals(service.endpoints)]));
    const ofNodes = totalsOfNodes(read);
    if (before) {
        const seconds = (time - before.time) / 1000;
        const next = new Map<string, readonly Sample[]>();
        for (const [name, total] of current) {
            const kept = history.value.get(name) ?? [];
            const sample = between(before.totals.get(name), total, seconds);
            next.set(name, sample ? [...kept.slice(1 - KEPT), sample] : kept);
        }
        history.value = next;
        const sent = new Map<string, Sample>();
        for (const [node, total] of ofNodes) {
            const sample = between(before.ofNodes.get(node), total, seconds);
            if (sample) sent.set(node, sample);
        }
        toNodes.value = sent;
    }
    before = { time, totals: current, ofNodes };
}

async function readOnce(): Promise<void> {
    try {
        const [all, hosts] = await Promise.all([read<Service[]>("/v1/services"), read<Outside[]>("/v1/outside")]);
        remember(all);
        services.value = all;
        outside.value = hosts;
        offline.value = null;
    } catch (error) {
        offline.value = error instanceof RequestError ? error.message : "the host does not answer";
        before = null;
    }
}

/** Whether the page wants to know anything now. */
function isWatched(): boolean {
    return !document.hidden && !paused.value && !tokenMissing.value;
}

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Reads the counters for as long as the page is open. */
async function followCounters(): Promise<never> {
    for (;;) {
        if (isWatched()) await readOnce();
        await pause(INTERVAL);
    }
}

/** Follows the stream of changes and rates, and takes it up where it broke off. */
async function followStream(): Promise<never> {
    let last: string | null = null;
    for (;;) {
        if (isWatched()) {
            const ended = new AbortController();
            try {
                for await (const event of events("/v1/stream", last, ended.signal)) {
                    last = event.id ?? last;
                    if (event.type === "rates") {
                        const all = JSON.parse(event.data) as Overview[];
                        rates.value = new Map(all.map((overview) => [overview.service, overview]));
                    } else {
                        newest.value = JSON.parse(event.data) as Change;
                        // A circuit or a revision has changed: the next reading would come too late for the eye.
                        void readOnce();
                    }
                    if (!isWatched()) break;
                }
            } catch {
                // The counters' own readings say why the host does not answer.
            } finally {
                ended.abort();
            }
        }
        await pause(INTERVAL);
    }
}

export function follow(): void {
    void followCounters();
    void followStream();
}

/** Reads at once, so that an operator sees what an action did. */
export async function readNow(): Promise<void> {
    actions.value++;
    await readOnce();
}
