// Kept traces, and one of them as a waterfall.

import type { Span, Trace, TraceSummary } from "../api/types";
import { Badge } from "../parts/badge";
import { useResource } from "../parts/resource";
import { Empty, Table } from "../parts/table";
import { clock, milliseconds } from "../format";
import { services } from "../live";
import { link, location, refine } from "../routing";

/** How many spans are drawn; the rest is told by number, so that a huge trace does not hang the page. */
const MOST_DRAWN = 500;

export function Traces() {
    const query = location.value.query;
    const [service, minimum, failed] = [
        query.get("service") ?? "",
        query.get("min_ms") ?? "",
        query.get("error") === "true",
    ];
    const asked = new URLSearchParams();
    if (service) asked.set("service", service);
    if (minimum) asked.set("min_ms", minimum);
    if (failed) asked.set("error", "true");
    const traces = useResource<TraceSummary[]>(`/v1/traces?${asked}`);
    if (traces.absent) {
        return <Absent />;
    }
    return (
        <>
            <h1>Traces</h1>
            <form class="filters" onSubmit={(event) => event.preventDefault()}>
                <label>
                    Service{" "}
                    <select value={service} onChange={(event) => refine({ service: event.currentTarget.value })}>
                        <option value="">all</option>
                        {services.value?.map(({ name }) => (
                            <option key={name}>{name}</option>
                        ))}
                    </select>
                </label>
                <label>
                    At least{" "}
                    <input
                        type="number"
                        min="0"
                        value={minimum}
                        onChange={(event) => refine({ min_ms: event.currentTarget.value })}
                    />{" "}
                    ms
                </label>
                <label>
                    <input
                        type="checkbox"
                        checked={failed}
                        onChange={(event) => refine({ error: event.currentTarget.checked ? "true" : "" })}
                    />{" "}
                    failed only
                </label>
            </form>
            {traces.error && <p class="bad">{traces.error}</p>}
            <Table
                caption="Kept traces"
                head={["When", "Request", "Status", "Took", "Services", "Spans", "Kept because"]}
            >
                {traces.value?.length === 0 && <Empty columns={7}>No trace that fits is kept.</Empty>}
                {traces.value?.map((trace) => (
                    <tr key={trace.id}>
                        <td class="when">{clock(trace.began)}</td>
                        <th scope="row">
                            <a href={link(["traces", trace.id])}>{trace.name}</a>
                        </th>
                        <td>
                            <Badge tone={trace.status >= 500 ? "bad" : trace.status >= 400 ? "warn" : "good"}>
                                {trace.error ? `${trace.status} ${trace.error}` : trace.status}
                            </Badge>
                        </td>
                        <td class="number">{milliseconds(trace.duration_ms)}</td>
                        <td>{trace.services.join(", ")}</td>
                        <td class="number">{trace.span_count}</td>
                        <td>{trace.rule}</td>
                    </tr>
                ))}
            </Table>
        </>
    );
}

function Absent() {
    return (
        <>
            <h1>Traces</h1>
            <p>
                The host keeps no traces. A section <code>[telemetry]</code> in the manifest switches them on.
            </p>
        </>
    );
}

export function TracePage({ id }: { id: string }) {
    const trace = useResource<Trace>(`/v1/traces/${encodeURIComponent(id)}`, false);
    if (trace.error) return <p class="bad">{trace.error}</p>;
    if (!trace.value) return <p>Reading …</p>;
    const { value } = trace;
    const drawn = inOrder(value.spans).slice(0, MOST_DRAWN);
    const missing = value.spans.length - drawn.length + value.lost_spans;
    return (
        <>
            <h1>{value.name}</h1>
            <p>
                {clock(value.began)}, {milliseconds(value.duration_ms)}, status {value.status}, kept because: {value.rule}
                . Request <code>{value.request_id}</code>, <a href={link(["logs"], { trace: value.id })}>its log</a>.
            </p>
            {missing > 0 && <p class="warn">{missing} more spans are not drawn.</p>}
            <Table caption="Spans" head={["Span", "Service", "Took", "Waterfall", "What else is known"]}>
                {drawn.map(({ span, depth }) => (
                    <tr key={span.id} class={span.error ? "bad" : ""}>
                        <th scope="row">
                            <span class={`indent depth-${Math.min(depth, 12)}`}>{span.name}</span>
                            {span.error && <Badge tone="bad">{span.error}</Badge>}
                        </th>
                        <td>{span.service ?? "gateway"}</td>
                        <td class="number">{milliseconds(span.duration_ms)}</td>
                        <td class="waterfall">
                            <Bar span={span} whole={value.duration_ms} />
                        </td>
                        <td class="attributes">
                            {Object.entries(span.attributes)
                                .map(([name, text]) => `${name}=${String(text)}`)
                                .join("  ")}
                        </td>
                    </tr>
                ))}
            </Table>
        </>
    );
}

function Bar({ span, whole }: { span: Span; whole: number }) {
    const scale = 1000 / Math.max(whole, 0.001);
    return (
        <svg
            viewBox="0 0 1000 10"
            preserveAspectRatio="none"
            role="img"
            aria-label={`from ${milliseconds(span.start_ms)}`}
        >
            <rect
                class={span.error ? "failed" : "all"}
                x={span.start_ms * scale}
                y="1"
                height="8"
                width={Math.max(2, span.duration_ms * scale)}
            />
        </svg>
    );
}

/** Each span below its parent, with its depth; a span whose parent is not here stands at the top. */
function inOrder(spans: Span[]): { span: Span; depth: number }[] {
    const known = new Set(spans.map((span) => span.id));
    const below = Map.groupBy(spans, (span) => (span.parent !== null && known.has(span.parent) ? span.parent : ""));
    const ordered: { span: Span; depth: number }[] = [];
    const open = (below.get("") ?? []).map((span) => ({ span, depth: 0 })).reverse();
    for (let next = open.pop(); next; next = open.pop()) {
        ordered.push(next);
        const { span, depth } = next;
        open.push(...(below.get(span.id) ?? []).map((child) => ({ span: child, depth: depth + 1 })).reverse());
    }
    return ordered;
}
