// How much a message may become: in some encodings a few bytes can stand for any number of values.

// Beyond the message's own bytes: absent fields that have defaults, shared strings.
const MOST_FREE = 300_000;

export class Budget {
  private left: number;

  constructor(private readonly bytes: number) {
    this.left = MOST_FREE + bytes;
  }

  /** Takes room for values. @throws an error when there is none */
  take(values: number): void {
    this.left -= values;
    if (this.left < 0) throw new Error(`its ${this.bytes} bytes stand for more values than are read here`);
  }
}
