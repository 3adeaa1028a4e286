// Copying, which browsers allow on https pages and those of the machine itself.

/** Whether the browser took the text: it may not let pages copy. */
export async function copies(text: string): Promise<boolean> {
  if (!isSecureContext) return false;
  return navigator.clipboard.writeText(text).then(
    () => true,
    () => false,
  );
}
