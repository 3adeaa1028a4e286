// One thing at a time: what is asked for while another is under way waits for its answer, and of those
// that wait only the last is sent. Dragging would stop each seek with the next, and show nothing.

// An answer that takes longer is not waited for.
const PATIENCE_MS = 500;

export class Pace<Asked> {
  private next: Asked | undefined;
  private patience: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly send: (asked: Asked) => void) {}

  ask(asked: Asked): void {
    this.next = asked;
    if (this.patience === undefined) this.now();
  }

  /** What was sent last is answered: the next may go. */
  answered(): void {
    clearTimeout(this.patience);
    this.patience = undefined;
    this.now();
  }

  /** Sends what waits, answer or not. */
  now(): void {
    const asked = this.next;
    if (asked === undefined) return;
    this.next = undefined;
    clearTimeout(this.patience);
    this.patience = setTimeout(() => this.answered(), PATIENCE_MS);
    this.send(asked);
  }

  close(): void {
    clearTimeout(this.patience);
  }
}
