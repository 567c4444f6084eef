// Rollouts: canaries under way over all services, and the history of one service.

import { order } from "../api/client";
import type { Canary, History, Rollout, Shadow } from "../api/types";
import { Badge, Phase } from "../parts/badge";
import { ask } from "../parts/dialog";
import { Meter } from "../parts/meter";
import { useResource } from "../parts/resource";
import { Empty, Table } from "../parts/table";
import { age, bytes, clock, count, milliseconds, share } from "../format";
import { services } from "../live";
import { link } from "../routing";

/** The evidence at which a canary is rolled back. */
const ENOUGH = 100;

export function Rollouts() {
    const all = services.value?.filter((service) => service.revision !== null);
    const under = all?.filter((service) => service.canary) ?? [];
    return (
        <>
            <h1>Rollouts</h1>
            {under.length === 0 && <p>No rollout is under way.</p>}
            {under.map(({ canary }) => canary && <UnderWay key={canary.service} rollout={canary} />)}
            <Table caption="Services" head={["Service", "Serves", "For", "Before", "Rollout", "As the manifest says"]}>
                {all?.length === 0 && <Empty columns={6}>No service has a component.</Empty>}
                {all?.map((service) => (
                    <tr key={service.name}>
                        <th scope="row">
                            <a href={link(["rollouts", service.name])}>{service.name}</a>
                        </th>
                        <td>
                            <code>{service.revision}</code>
                        </td>
                        <td class="number">{age(service.age_seconds)}</td>
                        <td>
                            <code>{service.previous ?? "–"}</code>
                        </td>
                        <td>{service.canary ? <Phase of={service.canary} /> : "–"}</td>
                        <td>{service.differs_from_manifest ? <Badge tone="warn">no</Badge> : "yes"}</td>
                    </tr>
                ))}
            </Table>
        </>
    );
}

export function RolloutPage({ name }: { name: string }) {
    const history = useResource<History>(`/v1/services/${encodeURIComponent(name)}/rollouts`);
    const all = history.value?.rollouts ?? [];
    const under = all.find((rollout) => rollout.ended === null);
    return (
        <>
            <p>
                <a href={link(["rollouts"])}>All services</a>
            </p>
            <h1>
                Rollouts of <a href={link(["services", name])}>{name}</a>
            </h1>
            {history.error && <p class="bad">{history.error}</p>}
            {under && <UnderWay rollout={under} />}
            <Table
                caption="History"
                head={["Number", "Revision", "Phase", "Began", "Took", "Who", "Why", "Verdict", "Order"]}
            >
                {all.length === 0 && (
                    <Empty columns={9}>
                        No rollout is remembered. <code>[history]</code> in the manifest keeps them.
                    </Empty>
                )}
                {all.map((rollout) => (
                    <tr key={rollout.id}>
                        <th scope="row" class="number">
                            {rollout.id}
                        </th>
                        <td>
                            <code>{rollout.revision}</code>
                            {rollout.digest === history.value?.serving && " (serves)"}
                        </td>
                        <td>
                            <Phase of={rollout} />
                        </td>
                        <td class="when">{clock(rollout.began * 1000)}</td>
                        <td class="number">
                            {rollout.ended === null ? "–" : age(rollout.ended - rollout.began)}
                        </td>
                        <td>{rollout.who}</td>
                        <td>{rollout.why ?? "–"}</td>
                        <td class="prose">{rollout.sentence}</td>
                        <td>
                            {rollout.ended !== null && rollout.digest !== history.value?.serving && (
                                <ReturnTo rollout={rollout} />
                            )}
                        </td>
                    </tr>
                ))}
            </Table>
        </>
    );
}

/** A rollout that an operator can still decide on. */
function UnderWay({ rollout }: { rollout: Rollout }) {
    return (
        <section class="panel" aria-label={`Rollout ${rollout.id} of ${rollout.service}`}>
            <h2>
                <a href={link(["rollouts", rollout.service])}>{rollout.service}</a>, rollout {rollout.id} of{" "}
                <code>{rollout.revision}</code> <Phase of={rollout} />
            </h2>
            <p>
                {rollout.sentence}. By {rollout.who}, since {clock(rollout.began * 1000)}
                {rollout.why && `: ${rollout.why}`}
            </p>
            {rollout.canary?.asks && (
                <p class="warn">It has had too few calls for long, and waits for your decision.</p>
            )}
            {rollout.canary && <Signals canary={rollout.canary} />}
            {rollout.shadow && <Compared shadow={rollout.shadow} />}
            <Ends rollout={rollout} />
        </section>
    );
}

function Signals({ canary }: { canary: Canary }) {
    const { of_canary: its, of_stable: others, evidence } = canary;
    const part = (some: number, all: number) => (all > 0 ? `${some} of ${all} (${share(some / all)})` : "–");
    const slow = canary.slow_above_ms === null ? "not known yet" : `above ${milliseconds(canary.slow_above_ms)}`;
    const heavy = canary.heavy_above_bytes === null ? "not known" : `above ${bytes(canary.heavy_above_bytes)}`;
    const rows: [string, string, string, number][] = [
        ["Failed calls", part(its.failed, its.calls), part(others.failed, others.calls), evidence.failures],
        ["Crashes of a new kind", "", "", evidence.new_traps],
        [`Slow calls (${slow})`, part(its.slow, its.calls), part(others.slow, others.calls), evidence.slow_calls],
        [`Much memory (${heavy})`, part(its.heavy, its.calls), part(others.heavy, others.calls), evidence.memory],
        ["All together", count(its.calls, "call"), count(others.calls, "call"), evidence.whole],
    ];
    return (
        <>
            <dl class="facts">
                <div>
                    <dt>Share of the calls</dt>
                    <dd>
                        <Meter value={canary.share} most={100} label={`${canary.share} % of the calls`} />
                    </dd>
                </div>
                <div>
                    <dt>Step</dt>
                    <dd>
                        {canary.step} of {canary.steps}
                        {canary.hold && ", and stays there"}
                    </dd>
                </div>
                <div>
                    <dt>Time in it</dt>
                    <dd>
                        {age(canary.seconds_in_step)}, at least {age(canary.step_seconds)}
                    </dd>
                </div>
                <div>
                    <dt>Calls in it</dt>
                    <dd>
                        {canary.calls_in_step}, at least {canary.calls_needed}
                    </dd>
                </div>
            </dl>
            <Table
                caption={`Signals: at ${ENOUGH} it is rolled back`}
                head={["Signal", "New revision", "Old revision", "Evidence against the new one"]}
            >
                {rows.map(([name, one, other, against]) => (
                    <tr key={name}>
                        <th scope="row">{name}</th>
                        <td>{one}</td>
                        <td>{other}</td>
                        <td>
                            <Meter
                                value={against}
                                most={ENOUGH}
                                tone={against > ENOUGH / 2 ? "bad" : against > ENOUGH / 10 ? "warn" : "plain"}
                                label={`${against.toFixed(2)} of ${ENOUGH}`}
                            />
                        </td>
                    </tr>
                ))}
            </Table>
        </>
    );
}

function Compared({ shadow }: { shadow: Shadow }) {
    return (
        <>
            <p>
                {count(shadow.compared, "call")} compared in the shadow, {shadow.differing} differ, {shadow.stopped} ask
                for something new, {shadow.skipped} skipped.
            </p>
            <Table caption="Differences" head={["Where", "Calls", "Was", "Is", "First request"]}>
                {shadow.differences.length === 0 && <Empty columns={5}>Nothing differs.</Empty>}
                {shadow.differences.map((one) => (
                    <tr key={one.place}>
                        <th scope="row">{one.place}</th>
                        <td class="number">{one.calls}</td>
                        <td class="line">{one.was}</td>
                        <td class="line">{one.is}</td>
                        <td>
                            <code>{one.request}</code>
                        </td>
                    </tr>
                ))}
            </Table>
        </>
    );
}

function Ends({ rollout }: { rollout: Rollout }) {
    const ends: [string, string, string][] = [
        ["Promote", "promote", `Revision ${rollout.revision} gets all calls.`],
        ["Roll back", "rollback", `Revision ${rollout.revision} goes, and is remembered as bad.`],
        ["Abort", "abort", `Revision ${rollout.revision} goes, and nobody says that it is bad.`],
    ];
    return (
        <div class="actions">
            {ends.map(([name, word, detail]) => (
                <button
                    key={word}
                    type="button"
                    onClick={() =>
                        ask({
                            title: `${name} rollout ${rollout.id} of ${rollout.service}?`,
                            detail,
                            action: name,
                            act: async () => {
                                const to = `/v1/services/${encodeURIComponent(rollout.service)}/rollouts`;
                                const { revision } = await order<{ revision: string }>(
                                    "POST",
                                    `${to}/${rollout.id}/${word}`,
                                );
                                return `${rollout.service} serves revision ${revision}.`;
                            },
                        })
                    }
                >
                    {name} …
                </button>
            ))}
        </div>
    );
}

function ReturnTo({ rollout }: { rollout: Rollout }) {
    return (
        <button
            type="button"
            aria-label={`Return to it …: ${rollout.revision}`}
            onClick={() =>
                ask({
                    title: `Return ${rollout.service} to ${rollout.revision}?`,
                    detail: `Revision ${rollout.revision} gets all calls, once it has passed the checks of a swap.`,
                    action: "Return to it",
                    act: async () => {
                        const to = `/v1/services/${encodeURIComponent(rollout.service)}/rollback/${rollout.digest}`;
                        const { revision } = await order<{ revision: string }>("POST", to);
                        return `${rollout.service} serves revision ${revision}.`;
                    },
                })
            }
        >
            Return to it …
        </button>
    );
}
