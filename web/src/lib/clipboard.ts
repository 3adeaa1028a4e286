// Copying, which browsers allow on https pages and those of the machine itself.

export async function copyText(text: string): Promise<void> {
  if (!isSecureContext) throw new Error("the browser copies on https pages alone");
  await navigator.clipboard.writeText(text);
}
