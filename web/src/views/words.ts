// What people read: failures, times, sizes.

import type { Recording } from "../api/loader";
import type { Nanos } from "../lib/nanos";
import type { Failure } from "../player/protocol";

export function words({ status, code }: Failure): { title: string; what: "sign-in" | "retry" } {
  switch (status) {
    case undefined:
      if (code === "link") return { title: "The link is wrong", what: "retry" };
      if (code === "stuck") return { title: "The page is stuck", what: "retry" };
      return { title: "No answer from the loader", what: "retry" };
    case 200:
      return { title: "This is no loader", what: "retry" };
    case 400:
      return { title: "The link is wrong", what: "retry" };
    case 401:
      return { title: code === "token-expired" ? "Your session has ended" : "Not signed in", what: "sign-in" };
    case 403:
      return { title: "You may not see this recording", what: "retry" };
    case 404:
      return { title: "There is no such recording", what: "retry" };
    case 502:
      return { title: "The data backend or a source failed", what: "retry" };
    case 503:
      return { title: "The loader is not ready", what: "retry" };
    case 504:
      return { title: "The data backend or a source is too slow", what: "retry" };
    default:
      return { title: `The loader answered ${status}`, what: "retry" };
  }
}

/** Why nothing is shown of a recording that was loaded, and has no times. */
export function whyNothing({ sources, problems }: Pick<Recording, "sources" | "problems">): string[] {
  if (sources.length === 0) return ["The data backend lists no sources for this recording."];
  const why = sources
    .filter(({ state }) => state === "failed")
    .map(({ id, error }) => `${id}: ${error ?? "it failed"}`);
  const unread = sources.filter(({ state }) => state === "pending" || state === "loading").length;
  if (unread > 0) why.push(`The loader did not get to ${unread} of ${sources.length} sources.`);
  if (why.length === 0) why.push("Its sources have no messages.");
  return [...why, ...problems.map(({ source, message }) => [source, message].filter(Boolean).join(": "))];
}

/** `09:30:12.345`, UTC. */
export function clock(time: Nanos): string {
  return new Date(Number(time / 1_000_000n)).toISOString().slice(11, 23);
}

/** `2026-01-31`, UTC. */
export function day(time: Nanos): string {
  return new Date(Number(time / 1_000_000n)).toISOString().slice(0, 10);
}

/** The time of day, and before it the day where a recording has several. */
export function clockIn(time: Nanos, { start, end }: { start: Nanos; end: Nanos }): string {
  return day(start) === day(end) ? clock(time) : `${day(time)} ${clock(time)}`;
}

/** `1:02.345`, or `1:00:02.345`. */
export function duration(seconds: number): string {
  const sign = seconds < 0 ? "−" : "";
  const milliseconds = Math.round(Math.abs(seconds) * 1000);
  const hours = Math.floor(milliseconds / 3_600_000);
  const minutes = Math.floor(milliseconds / 60_000) % 60;
  const rest = ((milliseconds % 60_000) / 1000).toFixed(3).padStart(6, "0");
  return hours > 0 ? `${sign}${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${sign}${minutes}:${rest}`;
}

export function size(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toPrecision(2)} ${units[unit]}`;
}
