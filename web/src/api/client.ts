// Requests to the admin: the token, the deadline, and what a refusal says.

import { signal } from "@preact/signals";
import type { Problem } from "./types";

/** How long the admin may take before the page says so, in milliseconds. */
const DEADLINE = 10_000;
/** Where the tab keeps the token. It ends with the tab, and no other tab, page or address ever has it. */
const TOKEN_KEY = "atoll-admin-token";

/** Whether the admin demands a token that this tab has not. */
export const tokenMissing = signal(false);

/** A refusal, or no answer at all. */
export class RequestError extends Error {
    constructor(
        readonly status: number | null,
        message: string,
    ) {
        super(message);
    }
}

export function giveToken(token: string): void {
    sessionStorage.setItem(TOKEN_KEY, token.trim());
    tokenMissing.value = false;
}

export function hasToken(): boolean {
    return sessionStorage.getItem(TOKEN_KEY) !== null;
}

export function forgetToken(): void {
    sessionStorage.removeItem(TOKEN_KEY);
}

/** Sends a request with the token of this tab. Throws a [`RequestError`] for every answer that is no success. */
export async function send(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    const token = sessionStorage.getItem(TOKEN_KEY);
    if (token !== null) headers.set("authorization", `Bearer ${token}`);
    let answer: Response;
    try {
        answer = await fetch(path, { ...init, headers, cache: "no-store" });
    } catch (error) {
        if (error instanceof DOMException && error.name === "AbortError") throw error;
        throw new RequestError(null, "the host does not answer");
    }
    if (answer.ok) return answer;
    if (answer.status === 401) tokenMissing.value = true;
    throw new RequestError(answer.status, await reason(answer));
}

/** The JSON at `path`. */
export async function read<T>(path: string, init: RequestInit = {}): Promise<T> {
    const deadline = AbortSignal.timeout(DEADLINE);
    const signal = init.signal ? AbortSignal.any([init.signal, deadline]) : deadline;
    return (await (await send(path, { ...init, signal })).json()) as T;
}

/** Asks for a change, and returns what the host says of it. */
export async function order<T>(method: "POST" | "DELETE" | "PUT", path: string, body?: unknown): Promise<T> {
    const json =
        body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } };
    return (await (await send(path, { method, ...json })).json()) as T;
}

async function reason(answer: Response): Promise<string> {
    try {
        const problem = (await answer.json()) as Problem;
        return problem.detail ?? problem.title;
    } catch {
        return `the host answered ${answer.status}`;
    }
}
