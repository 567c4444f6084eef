// Server-sent events by `fetch`: the browser's own EventSource can send no token.

import { send } from "./client";

export interface StreamEvent {
    id: string | null;
    type: string;
    data: string;
}

/** The events of `path`, after the one with the id `after`, until the host ends the answer or `signal` aborts. */
export async function* events(path: string, after: string | null, signal: AbortSignal): AsyncGenerator<StreamEvent> {
    const headers: Record<string, string> = { accept: "text/event-stream" };
    if (after !== null) headers["last-event-id"] = after;
    const answer = await send(path, { headers, signal });
    if (answer.body === null) return;
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        text += value;
        // An empty line ends an event (HTML, 9.2.6). What follows the last one has not arrived in full.
        const parts = text.split(/\r?\n\r?\n/);
        text = parts.pop() ?? "";
        for (const part of parts) {
            const event = parse(part);
            if (event) yield event;
        }
    }
}

/** One event. Nothing for a comment, which only keeps the connection open. */
function parse(text: string): StreamEvent | null {
    const event: StreamEvent = { id: null, type: "message", data: "" };
    const data: string[] = [];
    for (const line of text.split(/\r?\n/)) {
        const [, field, value = ""] = /^([^:]*):? ?(.*)$/.exec(line) ?? [];
        if (field === "data") data.push(value);
        else if (field === "id") event.id = value;
        else if (field === "event") event.type = value;
    }
    event.data = data.join("\n");
    return data.length > 0 ? event : null;
}
