/** Where the first one lies for which it holds, of a list in which it holds for all after it; else its length. */
export function firstWhere<T>(list: ArrayLike<T>, holds: (one: T) => boolean): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (holds(list[middle] as T)) high = middle;
    else low = middle + 1;
  }
  return low;
}
