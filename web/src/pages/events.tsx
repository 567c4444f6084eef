// Topics: what is published, who keeps up with it, and the events that nobody could handle.

import type { ComponentChildren } from "preact";
import { order, read } from "../api/client";
import type { CloudEvent, DeadLetter, Topic, TopicEvent } from "../api/types";
import { Badge, type Tone } from "../parts/badge";
import { ask } from "../parts/dialog";
import { useResource } from "../parts/resource";
import { Empty, Table } from "../parts/table";
import { age, bytes, clock, count } from "../format";
import { link, location, refine } from "../routing";

/** How many events or dead letters a page shows. */
const SHOWN = 50;
/** An event that is older than this, in seconds, and not handled, is worth a colour. */
const LATE = 60;

const path = (...segments: string[]) => `/v1/topics/${segments.map(encodeURIComponent).join("/")}`;

export function Events() {
    const topics = useResource<Topic[]>("/v1/topics");
    const all = topics.value;
    return (
        <>
            <h1>Events</h1>
            {topics.error && <p class="bad">{topics.error}</p>}
            <Table caption="Topics" head={["Topic", "Payload", "Events so far", "Kept", "Subscriptions"]}>
                {all?.length === 0 && <Empty columns={5}>The manifest names no topic.</Empty>}
                {all?.map((topic) => (
                    <tr key={topic.name}>
                        <th scope="row">
                            <a href={link(["events", topic.name])}>{topic.name}</a>
                        </th>
                        <td>{topic.payload ? <code>{topic.payload}</code> : "any JSON"}</td>
                        <td class="number">{topic.last}</td>
                        <td class="number">{bytes(topic.bytes)}</td>
                        <td>{topic.subscriptions.map((one) => one.service).join(", ") || "–"}</td>
                    </tr>
                ))}
            </Table>
            <Subscriptions topics={all ?? []} />
        </>
    );
}

function Subscriptions({ topics }: { topics: Topic[] }) {
    const all = topics.flatMap((topic) => topic.subscriptions.map((one) => ({ topic: topic.name, ...one })));
    return (
        <Table
            caption="Subscriptions"
            head={["Service", "Topic", "State", "Function", "Lag", "Behind", "Under way", "Handled", "Failed", "Dead"]}
        >
            {all.length === 0 && <Empty columns={10}>No service subscribes.</Empty>}
            {all.map((one) => {
                const [tone, word] = subscriptionState(one);
                return (
                    <tr key={`${one.topic} ${one.service}`}>
                        <th scope="row">
                            <a href={link(["services", one.service])}>{one.service}</a>
                        </th>
                        <td>
                            <a href={link(["events", one.topic])}>{one.topic}</a>
                        </td>
                        <td>
                            <Badge tone={tone}>{word}</Badge>
                        </td>
                        <td>
                            <code>{one.function}</code>
                        </td>
                        <td class="number">{one.lag}</td>
                        <td class="number">{age(one.lag_seconds)}</td>
                        <td class="number">{one.in_flight}</td>
                        <td class="number">{one.handled}</td>
                        <td class="number">{one.failures}</td>
                        <td class="number">
                            <a href={link(["events", one.topic, one.service])}>{count(one.dead, "letter")}</a>
                        </td>
                    </tr>
                );
            })}
        </Table>
    );
}

/** The worst that can be said of a subscription. */
function subscriptionState(one: Topic["subscriptions"][number]): [Tone, string] {
    if (one.dead > 0) return ["bad", "has dead letters"];
    if (one.stuck !== null) {
        return ["warn", one.stuck_key ? `tries ${one.stuck} again, key ${one.stuck_key}` : `tries ${one.stuck} again`];
    }
    if ((one.lag_seconds ?? 0) > LATE) return ["warn", "behind"];
    return ["good", "keeps up"];
}

export function TopicPage({ name }: { name: string }) {
    const topics = useResource<Topic[]>("/v1/topics");
    const page = useResource<{ events: TopicEvent[] }>(`${path(name)}/events?latest=${SHOWN}&limit=${SHOWN}`);
    const topic = topics.value?.find((topic) => topic.name === name);
    const events = page.value?.events ?? [];
    return (
        <>
            <Up>Topic {name}</Up>
            {page.error && <p class="bad">{page.error}</p>}
            {topic && <Subscriptions topics={[topic]} />}
            <Table caption="Events, the latest first" head={["Number", "When", "Key", "Data"]}>
                {events.length === 0 && <Empty columns={4}>No event is kept.</Empty>}
                {[...events].reverse().map(({ number, event }) => (
                    <tr key={number}>
                        <th scope="row" class="number">
                            {number}
                        </th>
                        <EventCells event={event} />
                    </tr>
                ))}
            </Table>
        </>
    );
}

export function DeadLetters({ topic, service }: { topic: string; service: string }) {
    const after = location.value.query.get("after") ?? "0";
    const dead = `${path(topic)}/subscriptions/${encodeURIComponent(service)}/dead`;
    const letters = useResource<DeadLetter[]>(`${dead}?after=${encodeURIComponent(after)}&limit=${SHOWN}`);
    const all = letters.value ?? [];
    const last = all.at(-1);
    const send = (number: number | null) =>
        ask({
            title: number === null ? `Send all dead letters of ${service} again?` : `Send event ${number} again?`,
            detail: `${service} gets ${number === null ? "them" : "it"} once more; what fails again is dead again.`,
            action: "Send again",
            act: async () => {
                const body = number === null ? {} : { number };
                const { sent } = await order<{ sent: number }>("POST", `${dead}/retry`, body);
                const left = await read<DeadLetter[]>(`${dead}?limit=1`);
                const rest = left.length === 0 ? "No dead letter is left." : "Others are still there.";
                return `${count(sent, "dead letter")} of ${service} sent again. ${rest}`;
            },
        });
    return (
        <>
            <Up>
                Dead letters of {service}, topic <a href={link(["events", topic])}>{topic}</a>
            </Up>
            {letters.error && <p class="bad">{letters.error}</p>}
            <div class="actions">
                <button type="button" disabled={all.length === 0} onClick={() => send(null)}>
                    Send all again …
                </button>
                {after !== "0" && (
                    <button type="button" onClick={() => refine({ after: "" })}>
                        The first ones
                    </button>
                )}
                {last && all.length === SHOWN && (
                    <button type="button" onClick={() => refine({ after: String(last.number) })}>
                        Those after {last.number}
                    </button>
                )}
            </div>
            <Table caption="Dead letters" head={["Number", "When", "Key", "Data", "Tries", "Why", "Order"]}>
                {all.length === 0 && <Empty columns={7}>Every event was handled, or waits for its turn.</Empty>}
                {all.map((letter) => (
                    <tr key={letter.number}>
                        <th scope="row" class="number">
                            {letter.number}
                        </th>
                        <EventCells event={letter.event} />
                        <td class="number">{letter.tries}</td>
                        <td class="line">
                            {letter.failures.map(({ at, reason }) => `${clock(at)}: ${reason}`).join("\n")}
                        </td>
                        <td>
                            <button
                                type="button"
                                aria-label={`Send again: ${letter.number}`}
                                onClick={() => send(letter.number)}
                            >
                                Send again
                            </button>
                        </td>
                    </tr>
                ))}
            </Table>
        </>
    );
}

function EventCells({ event }: { event: CloudEvent | null }) {
    if (!event) {
        return (
            <td colSpan={3} class="bad">
                its bytes are damaged
            </td>
        );
    }
    // W3C Trace Context: version, trace, span, flags. The trace may have been kept.
    const trace = event.traceparent?.split("-")[1];
    return (
        <>
            <td class="when">
                {trace ? <a href={link(["traces", trace])}>{clock(event.time)}</a> : clock(event.time)}
            </td>
            <td>{event.partitionkey ?? "–"}</td>
            <td class="line">{JSON.stringify(event.data)}</td>
        </>
    );
}

/** The title of a page below the list of topics. */
function Up({ children }: { children: ComponentChildren }) {
    return (
        <>
            <p>
                <a href={link(["events"])}>All topics</a>
            </p>
            <h1>{children}</h1>
        </>
    );
}
