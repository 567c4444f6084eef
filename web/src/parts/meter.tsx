// A number beside its bound, drawn and in words.

import type { Tone } from "./badge";

interface Measured {
    value: number;
    most: number;
    label: string;
    tone?: Tone;
}

export function Meter({ value, most, label, tone = "plain" }: Measured) {
    const part = Math.max(0, Math.min(1, value / most));
    return (
        <span class="meter">
            <svg class={tone} viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
                <rect class="whole" width="100" height="8" />
                <rect class="part" width={part * 100} height="8" />
            </svg>{" "}
            {label}
        </span>
    );
}
