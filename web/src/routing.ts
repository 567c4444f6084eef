// The page that the address names. Everything is behind `#`, so the host serves one document, and a search or a filter
// is a part of the address: "back" brings it back, and a link to it can be sent to a colleague.

import { computed, signal } from "@preact/signals";

export interface Location {
    /** The segments, decoded: `#/services/users` is `["services", "users"]`. */
    path: string[];
    query: URLSearchParams;
}

const hash = signal(window.location.hash);
window.addEventListener("hashchange", () => {
    hash.value = window.location.hash;
});

export const location = computed<Location>(() => {
    const [path = "", query = ""] = hash.value.replace(/^#/, "").split("?", 2);
    return { path: path.split("/").filter(Boolean).map(decodeURIComponent), query: new URLSearchParams(query) };
});

/** A link to a page. */
export function link(path: string[], query: Record<string, string> = {}): string {
    const kept = Object.entries(query).filter(([, value]) => value !== "");
    const search = kept.length > 0 ? `?${new URLSearchParams(kept)}` : "";
    return `#/${path.map(encodeURIComponent).join("/")}${search}`;
}

/** Changes the query of this page, without a new entry in the history for each letter that is typed. */
export function refine(query: Record<string, string>): void {
    const merged = { ...Object.fromEntries(location.value.query), ...query };
    window.history.replaceState(null, "", link(location.value.path, merged));
    hash.value = window.location.hash;
}
