// The nodes of the cluster, as this one knows them: who they are, what they serve, and what this node sends to each.

import { order } from "../api/client";
import type { ClusterNode, Nodes as Cluster } from "../api/types";
import { Badge, type Tone } from "../parts/badge";
import { ask } from "../parts/dialog";
import { Graph, type Edge, type Node } from "../parts/graph";
import { useResource } from "../parts/resource";
import { Empty, Table } from "../parts/table";
import { count, milliseconds, rate, share } from "../format";
import { toNodes } from "../live";
import { link } from "../routing";

/** What can be ordered of a node, by its verb: the words on the button, and what it means. */
const ORDERS = {
    drain: {
        word: "Drain",
        makes: "draining",
        detail: "Others send what they can elsewhere, and its calls end. It lasts until it is taken back.",
    },
    cordon: {
        word: "Cordon",
        makes: "cordoned",
        detail: "It keeps what it serves, and gets no further replicas. It lasts until it is taken back.",
    },
    uncordon: { word: "Take back", makes: "living", detail: "It takes calls and replicas again." },
} as const;

type Order = keyof typeof ORDERS;
const VERBS = Object.keys(ORDERS) as Order[];

export function Nodes() {
    const cluster = useResource<Cluster>("/v1/nodes");
    if (!cluster.value) {
        // A host that is no node of a cluster says so.
        return (
            <>
                <h1>Nodes</h1>
                <p>{cluster.error ?? "Waiting for the host …"}</p>
            </>
        );
    }
    const { nodes, stale_ms, lease_age_ms, doubted } = cluster.value;
    return (
        <>
            <h1>Nodes</h1>
            {cluster.error && <p class="bad">{cluster.error}</p>}
            {lease_age_ms === null && <p class="bad">This node has no lease: the others do not see it.</p>}
            {stale_ms !== null && (
                <p class="bad">
                    NATS has told nothing for {milliseconds(stale_ms)}: these are the nodes that were known last.
                </p>
            )}
            {doubted > 0 && <p>{count(doubted, "node")} without a lease, believed to live all the same.</p>}
            {nodes.length > 0 && <Graph {...graph(nodes)} />}
            <Table
                caption="Nodes"
                head={["Node", "Zone", "Standing", "Address", "Services", "Under way", "Sent there", "Failed", "Order"]}
            >
                {nodes.length === 0 && <Empty columns={9}>No node is known.</Empty>}
                {nodes.map((node) => (
                    <Row key={node.name} node={node} />
                ))}
            </Table>
        </>
    );
}

function Row({ node }: { node: ClusterNode }) {
    const sent = toNodes.value.get(node.name);
    const failed = sent && sent.perSecond > 0 ? sent.failedPerSecond / sent.perSecond : 0;
    const load = node.services.reduce((sum, service) => sum + service.load, 0);
    const orders = VERBS.filter((verb) => ORDERS[verb].makes !== node.standing);
    return (
        <tr>
            <th scope="row">
                {node.name}
                {node.own && " (this one)"}
            </th>
            <td>{node.zone ?? "–"}</td>
            <td>
                <Badge tone={tone(node)}>{node.standing}</Badge>
            </td>
            <td>
                <code>{node.address}</code>
            </td>
            <td>
                {node.services.map((service) => (
                    <div key={service.name}>
                        <a href={link(["services", service.name])}>{service.name}</a> × {service.replicas}{" "}
                        <code>{service.revision}</code>
                    </div>
                ))}
            </td>
            <td class="number">{load}</td>
            <td class="number">{node.own ? "–" : rate(sent?.perSecond ?? 0)}</td>
            <td class="number">{node.own ? "–" : share(failed)}</td>
            <td>
                {orders.map((verb) => (
                    <button type="button" key={verb} onClick={() => give(verb, node.name)}>
                        {ORDERS[verb].word}
                    </button>
                ))}
            </td>
        </tr>
    );
}

function give(verb: Order, node: string): void {
    const { word, detail } = ORDERS[verb];
    ask({
        title: `${word}: ${node}?`,
        detail,
        action: word,
        act: async () => {
            const { standing } = await order<ClusterNode>("POST", `/v1/nodes/${encodeURIComponent(node)}/${verb}`);
            return `${node} is ${standing}.`;
        },
    });
}

function tone(node: ClusterNode): Tone {
    return node.standing === "living" ? "good" : "warn";
}

/** This node, and those to which it sends calls. */
function graph(nodes: ClusterNode[]): { nodes: Node[]; edges: Edge[] } {
    const own = nodes.find((node) => node.own)?.name ?? "this node";
    const boxes = nodes.map((node) => ({
        id: node.name,
        label: node.name,
        column: node.own ? 0 : 1,
        tone: tone(node),
        word: `${node.standing}, ${count(node.services.length, "service")}`,
    }));
    const edges = [...toNodes.value].map(([to, sent]) => ({
        from: own,
        to,
        perSecond: sent.perSecond,
        failed: sent.perSecond > 0 ? sent.failedPerSecond / sent.perSecond : 0,
    }));
    return { nodes: boxes, edges };
}
