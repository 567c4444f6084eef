// Requests by second, with the failed ones below. Drawn by hand: a library of charts would be larger than the rest.

import { KEPT, type Sample } from "../live";

const WIDTH = 600;

export function Plot({ samples, height = 120, label }: { samples: readonly Sample[]; height?: number; label: string }) {
    const most = Math.max(1, ...samples.map((sample) => sample.perSecond));
    const x = (at: number) => ((KEPT - samples.length + at) / (KEPT - 1)) * WIDTH;
    const y = (value: number) => height - (value / most) * (height - 4);
    const area = (value: (sample: Sample) => number) => {
        if (samples.length === 0) return "";
        const points = samples.map((sample, at) => `${x(at).toFixed(1)},${y(value(sample)).toFixed(1)}`).join(" L");
        return `M${x(0).toFixed(1)},${height} L${points} L${x(samples.length - 1).toFixed(1)},${height} Z`;
    };
    const last = samples.at(-1);
    const spoken = last
        ? `${label}: ${last.perSecond.toFixed(1)} a second now, ${most.toFixed(1)} at most`
        : `${label}: nothing yet`;
    return (
        <svg class="plot" viewBox={`0 0 ${WIDTH} ${height}`} preserveAspectRatio="none" role="img" aria-label={spoken}>
            <path class="all" d={area((sample) => sample.perSecond)} />
            <path class="failed" d={area((sample) => sample.failedPerSecond)} />
        </svg>
    );
}
