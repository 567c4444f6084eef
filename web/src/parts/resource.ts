// One answer of the admin for a page: read when the page opens or its address changes, and again every few seconds.

import { useEffect, useState } from "preact/hooks";
import { RequestError, read } from "../api/client";
import { paused } from "../live";

/** Between two readings of a page that is open, in milliseconds. */
const INTERVAL = 3000;

export interface Resource<T> {
    value: T | null;
    /** Why the last reading failed. */
    error: string | null;
    /** Whether the host has no such resource: the manifest does not switch it on. */
    absent: boolean;
}

export function useResource<T>(path: string, again = true): Resource<T> {
    const [resource, setResource] = useState<Resource<T>>({ value: null, error: null, absent: false });
    useEffect(() => {
        const ended = new AbortController();
        let timer: ReturnType<typeof setTimeout>;
        const readOnce = async () => {
            try {
                if (!document.hidden && !paused.value) {
                    const value = await read<T>(path, { signal: ended.signal });
                    setResource({ value, error: null, absent: false });
                }
            } catch (error) {
                if (ended.signal.aborted) return;
                const absent = error instanceof RequestError && error.status === 404;
                const message = error instanceof Error ? error.message : String(error);
                setResource((was) => ({ value: was.value, error: message, absent }));
            }
            if (again && !ended.signal.aborted) timer = setTimeout(readOnce, INTERVAL);
        };
        setResource({ value: null, error: null, absent: false });
        void readOnce();
        return () => (ended.abort(), clearTimeout(timer));
    }, [path, again]);
    return resource;
}
