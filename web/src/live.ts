// What the host does now: one reading a second for all pages, however many charts they have. A hidden tab reads
// nothing.

import { computed, signal } from "@preact/signals";
import { RequestError, read, tokenMissing } from "./api/client";
import type { Outside, Service } from "./api/types";

/** Between two readings, in milliseconds. */
const INTERVAL = 1000;
/** How far charts reach back, in readings. */
export const KEPT = 300;

/** One second of a service. */
export interface Sample {
    time: number;
    perSecond: number;
    failedPerSecond: number;
    inFlight: number;
}

export const services = signal<Service[] | null>(null);
export const outside = signal<Outside[]>([]);
/** Why the last reading failed; nothing while the host answers. */
export const offline = signal<string | null>(null);
export const paused = signal(false);
/** The newest sample is the last one. */
export const history = signal<ReadonlyMap<string, readonly Sample[]>>(new Map());

export const now = computed(() => {
    const latest = new Map<string, Sample>();
    for (const [name, samples] of history.value) {
        const sample = samples.at(-1);
        if (sample) latest.set(name, sample);
    }
    return latest;
});

let before: { time: number; totals: Map<string, Totals> } | null = null;

interface Totals {
    requests: number;
    failures: number;
    inFlight: number;
}

function totals(service: Service): Totals {
    const sum = { requests: 0, failures: 0, inFlight: 0 };
    for (const endpoint of service.endpoints) {
        sum.requests += endpoint.requests;
        sum.failures += endpoint.failures;
        sum.inFlight += endpoint.in_flight;
    }
    return sum;
}

/** Adds the difference between two readings to the history. Counters that went down are those of a restarted host. */
function remember(read: Service[]): void {
    const time = performance.now();
    const current = new Map(read.map((service) => [service.name, totals(service)]));
    if (before) {
        const seconds = (time - before.time) / 1000;
        const next = new Map<string, readonly Sample[]>();
        for (const [name, total] of current) {
            const was = before.totals.get(name);
            const kept = history.value.get(name) ?? [];
            if (!was || total.requests < was.requests) {
                next.set(name, kept);
                continue;
            }
            const sample = {
                time: Date.now(),
                perSecond: (total.requests - was.requests) / seconds,
                failedPerSecond: (total.failures - was.failures) / seconds,
                inFlight: total.inFlight,
            };
            next.set(name, [...kept.slice(1 - KEPT), sample]);
        }
        history.value = next;
    }
    before = { time, totals: current };
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

/** Reads for as long as the page is open. */
export async function follow(): Promise<never> {
    for (;;) {
        if (!document.hidden && !paused.value && !tokenMissing.value) await readOnce();
        await new Promise((resolve) => setTimeout(resolve, INTERVAL));
    }
}

/** Reads at once, so that an operator sees what an action did. */
export const readNow = readOnce;
