// A field over time, in bounded memory: the range is cut into slots, and each keeps its first, least,
// greatest and last value. What has few values is kept as it is.

import type { Nanos } from "../lib/nanos";

/** A line: seconds since the start of the range, and values. */
export interface Line {
  times: Float64Array;
  values: Float64Array;
  /** How many values were not finite, and are left out. */
  notFinite: number;
}

const SLOTS = 2048;

interface Slot {
  // Pairs of time and value, in order of time.
  points: [number, number][];
}

export class Series {
  private readonly slots = new Map<number, Slot>();
  private readonly span: number;
  private notFinite = 0;

  constructor(
    private readonly from: Nanos,
    to: Nanos,
    private readonly origin: Nanos,
  ) {
    this.span = Math.max(Number(to - from), 1);
  }

  add(time: Nanos, value: number): void {
    if (!Number.isFinite(value)) {
      this.notFinite++;
      return;
    }
    const place = Math.floor((Number(time - this.from) / this.span) * SLOTS);
    const point: [number, number] = [Number(time - this.origin) / 1e9, value];
    const slot = this.slots.get(place);
    if (slot === undefined) {
      this.slots.set(place, { points: [point] });
      return;
    }
    slot.points.push(point);
    if (slot.points.length > 4) slot.points = thinned(slot.points);
  }

  line(): Line {
    const places = [...this.slots.keys()].sort((a, b) => a - b);
    const points = places.flatMap((place) => this.slots.get(place)?.points ?? []);
    return {
      times: Float64Array.from(points, ([time]) => time),
      values: Float64Array.from(points, ([, value]) => value),
      notFinite: this.notFinite,
    };
  }
}

/** Of five points in a row the four that a line is drawn by. */
function thinned(points: [number, number][]): [number, number][] {
  let least = 0;
  let greatest = 0;
  points.forEach(([, value], i) => {
    if (value < (points[least]?.[1] ?? 0)) least = i;
    if (value > (points[greatest]?.[1] ?? 0)) greatest = i;
  });
  const kept = new Set([0, least, greatest, points.length - 1]);
  return points.filter((_, i) => kept.has(i));
}
