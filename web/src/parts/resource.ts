// One answer of the admin for a page: read when the page opens or its address changes, after each action, and again
// every few seconds.

import { useEffect, useState } from "preact/hooks";
import { RequestError, read } from "../api/client";
import { actions, paused } from "../live";

/** Between two readings of a page that is open, in milliseconds. */
const INTERVAL = 3000;

export interface Resource<T> {
    value: T | null;
    /** Why the last reading failed. */
    error: string | null;
    /** Whether the host has no such resource: the manifest does not switch it on. */
    absent: boolean;
}

const NOTHING = { value: null, error: null, absent: false };

export function useResource<T>(path: string, again = true): Resource<T> {
    // What was read of another path is not shown, and what is shown stays until the next reading has come.
    const [state, setState] = useState<{ path: string; resource: Resource<T> }>({ path, resource: NOTHING });
    const done = actions.value;
    useEffect(() => {
        const ended = new AbortController();
        let timer: ReturnType<typeof setTimeout>;
        const readOnce = async () => {
            try {
                if (!document.hidden && !paused.value) {
                    const value = await read<T>(path, { signal: ended.signal });
                    setState({ path, resource: { value, error: null, absent: false } });
                }
            } catch (error) {
                if (ended.signal.aborted) return;
                const absent = error instanceof RequestError && error.status === 404;
                const message = error instanceof Error ? error.message : String(error);
                setState((was) => {
                    const value = was.path === path ? was.resource.value : null;
                    return { path, resource: { value, error: message, absent } };
                });
            }
            if (again && !ended.signal.aborted) timer = setTimeout(readOnce, INTERVAL);
        };
        void readOnce();
        return () => (ended.abort(), clearTimeout(timer));
    }, [path, again, done]);
    return state.path === path ? state.resource : NOTHING;
}
