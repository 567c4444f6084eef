// Numbers and times as people read them.

export function milliseconds(value: number | null | undefined): string {
    if (value === null || value === undefined) return "–";
    if (value < 1) return `${(value * 1000).toFixed(0)} µs`;
    if (value < 100) return `${value.toFixed(1)} ms`;
    return value < 10_000 ? `${value.toFixed(0)} ms` : `${(value / 1000).toFixed(1)} s`;
}

export function rate(perSecond: number | null | undefined): string {
    if (perSecond === null || perSecond === undefined) return "–";
    if (perSecond >= 1000) return `${(perSecond / 1000).toFixed(1)}k/s`;
    return perSecond >= 10 ? `${perSecond.toFixed(0)}/s` : `${perSecond.toFixed(1)}/s`;
}

export function share(value: number | null | undefined): string {
    if (value === null || value === undefined) return "–";
    if (value === 0) return "0 %";
    return value < 0.001 ? "< 0.1 %" : `${(value * 100).toFixed(1)} %`;
}

export function age(seconds: number | null | undefined): string {
    if (seconds === null || seconds === undefined) return "–";
    if (seconds < 60) return `${Math.floor(seconds)} s`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
    return seconds < 86_400 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 86_400)} d`;
}

/** The time of day, with the date where it is not today's: of milliseconds since 1970, or of a text (RFC 3339). */
export function clock(moment: number | string): string {
    const date = new Date(moment);
    const today = date.toDateString() === new Date().toDateString();
    return today ? date.toLocaleTimeString() : date.toLocaleString();
}

export function count(value: number, noun: string): string {
    return `${value} ${noun}${value === 1 ? "" : "s"}`;
}

const UNITS = ["bytes", "KiB", "MiB", "GiB", "TiB"];

export function bytes(value: number): string {
    const unit = Math.min(UNITS.length - 1, Math.floor(Math.log2(Math.max(1, value)) / 10));
    return `${unit === 0 ? value : (value / 1024 ** unit).toFixed(1)} ${UNITS[unit]}`;
}
