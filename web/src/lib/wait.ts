/** Resolves after so long, or rejects when the signal says so. */
export function wait(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const over = () => {
      clearTimeout(timer);
      reject(signal.reason as Error);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", over);
      resolve();
    }, milliseconds);
    if (signal.aborted) over();
    else signal.addEventListener("abort", over, { once: true });
  });
}
