// Who calls whom, from left to right: clients, the gateway, services by depth, hosts outside. The width of a line is
// its rate, its colour the share that fails. The tables below say the same in words.

import type { Tone } from "./badge";
import { rate, share } from "../format";
import { link } from "../routing";

export interface Node {
    id: string;
    label: string;
    /** The column: 0 is the clients'. */
    column: number;
    tone: Tone;
    word: string;
    /** The page that it leads to. */
    page?: string[];
}

export interface Edge {
    from: string;
    to: string;
    perSecond: number;
    failed: number;
}

const COLUMN = 230;
const ROW = 64;
/** How many nodes stand above each other; a column with more of them is several beside each other. */
const TALLEST = 10;
const BOX = { width: 160, height: 44 };

export function Graph({ nodes, edges }: { nodes: Node[]; edges: Edge[] }) {
    const columns = Map.groupBy(nodes, (node) => node.column);
    const tallest = Math.min(TALLEST, Math.max(1, ...[...columns.values()].map((column) => column.length)));
    const at = new Map<string, { x: number; y: number }>();
    let left = 0;
    for (const [, members] of [...columns].sort(([one], [other]) => one - other)) {
        const parts = Math.ceil(members.length / TALLEST);
        const rows = Math.ceil(members.length / parts);
        members.forEach((node, index) => {
            const x = left + Math.floor(index / rows) * COLUMN;
            at.set(node.id, { x, y: ((index % rows) + (tallest - rows) / 2) * ROW });
        });
        left += parts * COLUMN;
    }
    const width = left - COLUMN + BOX.width + 8;
    const height = tallest * ROW;
    return (
        <div class="scroll" tabIndex={0} role="region" aria-label="Graph of calls">
            <svg
                class="graph"
                viewBox={`-4 -8 ${width} ${height}`}
                width={width}
                height={height}
                role="group"
                aria-label={spoken(nodes, edges)}
            >
                {edges.map((edge) => {
                    const from = at.get(edge.from);
                    const to = at.get(edge.to);
                    return from && to && <Line key={`${edge.from} ${edge.to}`} edge={edge} from={from} to={to} />;
                })}
                {nodes.map((node) => {
                    const place = at.get(node.id);
                    return place && <Box key={node.id} node={node} x={place.x} y={place.y} />;
                })}
            </svg>
        </div>
    );
}

function Line({ edge, from, to }: { edge: Edge; from: { x: number; y: number }; to: { x: number; y: number } }) {
    const [x1, y1, x2, y2] = [from.x + BOX.width, from.y + BOX.height / 2, to.x, to.y + BOX.height / 2];
    const bend = Math.max(30, (x2 - x1) / 2);
    const tone = edge.perSecond > 0 && edge.failed > 0.05 ? "bad" : edge.failed > 0 ? "warn" : "plain";
    const thickness = 1 + Math.min(5, Math.log10(1 + edge.perSecond));
    return (
        <path
            class={`edge ${tone}`}
            d={`M${x1},${y1} C${x1 + bend},${y1} ${x2 - bend},${y2} ${x2},${y2}`}
            stroke-width={thickness}
        >
            <title>{`${edge.from} → ${edge.to}: ${rate(edge.perSecond)}, ${share(edge.failed)} failed`}</title>
        </path>
    );
}

function Box({ node, x, y }: { node: Node; x: number; y: number }) {
    const box = (
        <g class={`node ${node.tone}`} transform={`translate(${x} ${y})`}>
            <rect width={BOX.width} height={BOX.height} rx="8" />
            <text x="12" y="19" class="label">
                {node.label.length > 20 ? `${node.label.slice(0, 19)}…` : node.label}
            </text>
            <text x="12" y="35" class="word">
                {node.word}
            </text>
            <title>{node.label}</title>
        </g>
    );
    return node.page ? <a href={link(node.page)}>{box}</a> : box;
}

function spoken(nodes: Node[], edges: Edge[]): string {
    const busy = edges.filter((edge) => edge.perSecond > 0).length;
    const ill = nodes.filter((node) => node.tone === "bad").map((node) => `${node.label}: ${node.word}`);
    return `${nodes.length} nodes, ${busy} of ${edges.length} lines with traffic. ${ill.join(". ")}`;
}
