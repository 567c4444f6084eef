// The audit file: who changed what, and who was refused.

import type { AuditEntry } from "../api/types";
import { useResource } from "../parts/resource";
import { Empty, Table } from "../parts/table";
import { clock, count } from "../format";
import { location, refine } from "../routing";

export function Audit() {
    const query = location.value.query;
    const [who, what, on] = ["who", "what", "on"].map((name) => query.get(name) ?? "");
    const asked = new URLSearchParams({ limit: "200" });
    if (who) asked.set("who", who);
    if (what) asked.set("what", what);
    if (on) asked.set("on", on);
    const audit = useResource<AuditEntry[]>(`/v1/audit?${asked}`);
    if (audit.absent) {
        return (
            <>
                <h1>Audit</h1>
                <p>
                    The host keeps no audit file. A section <code>[audit]</code> in the manifest names one.
                </p>
            </>
        );
    }
    return (
        <>
            <h1>Audit</h1>
            <form class="filters" onSubmit={(event) => event.preventDefault()}>
                <Filter name="who" title="Who" value={who ?? ""} />
                <Filter name="what" title="What" value={what ?? ""} />
                <Filter name="on" title="On what" value={on ?? ""} />
            </form>
            {audit.error && <p class="bad">{audit.error}</p>}
            <Table
                caption="Entries, the newest first"
                head={["Number", "When", "Who", "What", "On what", "Before", "After", "Outcome", "Why"]}
            >
                {audit.value?.length === 0 && <Empty columns={9}>No entry fits.</Empty>}
                {audit.value?.map((entry) => (
                    <tr key={entry.seq}>
                        <td class="number">{entry.seq}</td>
                        <td class="when">{clock(entry.time)}</td>
                        <td>{entry.who}</td>
                        <th scope="row">{entry.what}</th>
                        <td>{entry.on ?? "–"}</td>
                        <td>
                            <code title={entry.before ?? ""}>{short(entry.before)}</code>
                        </td>
                        <td>
                            <code title={entry.after ?? ""}>{short(entry.after)}</code>
                        </td>
                        <td>{outcome(entry)}</td>
                        <td>{entry.why ?? "–"}</td>
                    </tr>
                ))}
            </Table>
            <p>
                These are the last entries. <code>atoll audit verify FILE</code> checks that nobody changed the file.
            </p>
        </>
    );
}

function Filter({ name, title, value }: { name: string; title: string; value: string }) {
    return (
        <label>
            {title}{" "}
            <input value={value} onChange={(event) => refine({ [name]: event.currentTarget.value.trim() })} />
        </label>
    );
}

/** A digest is known by its first digits. */
function short(text: string | undefined): string {
    return text && /^[0-9a-f]{64}$/.test(text) ? text.slice(0, 12) : (text ?? "–");
}

function outcome(entry: AuditEntry): string {
    const left = entry.left_out ? `${count(entry.left_out, "refusal")} before it without an entry` : undefined;
    return [entry.outcome, left].filter((text) => text !== undefined).join("; ") || "–";
}
