// Times are nanoseconds since the Unix epoch, as bigint: a number does not hold them.

export type Nanos = bigint;

export const SECOND = 1_000_000_000n;

const RFC_3339 = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/;

/** The time that RFC 3339 text or whole nanoseconds name, if they do. */
export function parseNanos(text: string): Nanos | undefined {
  if (/^\d{1,20}$/.test(text)) return BigInt(text);
  const [, toSecond, fraction = "", zone] = RFC_3339.exec(text) ?? [];
  if (toSecond === undefined || zone === undefined) return undefined;
  const milliseconds = Date.parse(toSecond + zone);
  if (Number.isNaN(milliseconds)) return undefined;
  return BigInt(milliseconds) * 1_000_000n + BigInt(fraction.padEnd(9, "0"));
}

/** RFC 3339 in UTC, with nanoseconds where there are any. */
export function formatNanos(time: Nanos): string {
  const text = new Date(Number(time / SECOND) * 1000).toISOString().slice(0, 19);
  const fraction = String(time % SECOND).padStart(9, "0").replace(/0+$/, "");
  return fraction === "" ? `${text}Z` : `${text}.${fraction}Z`;
}

/** Seconds from one time to another. */
export function secondsBetween(from: Nanos, to: Nanos): number {
  return Number(to - from) / 1e9;
}

/** A time that lies this many seconds later. */
export function later(time: Nanos, seconds: number): Nanos {
  return time + BigInt(Math.round(seconds * 1e9));
}

export function clamp(time: Nanos, from: Nanos, to: Nanos): Nanos {
  return time < from ? from : time > to ? to : time;
}
