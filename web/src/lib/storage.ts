// What the browser keeps for the page; where it is told to keep nothing, nothing is there.

type Place = "localStorage" | "sessionStorage";

export function stored(place: Place, name: string): string | undefined {
  try {
    return globalThis[place].getItem(name) ?? undefined;
  } catch {
    return undefined;
  }
}

/** Without a value: forgets it. */
export function store(place: Place, name: string, value?: string): void {
  try {
    if (value === undefined) globalThis[place].removeItem(name);
    else globalThis[place].setItem(name, value);
  } catch {
    // It is not kept, and asked for again another time.
  }
}
