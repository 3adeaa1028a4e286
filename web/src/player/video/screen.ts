// What one panel shows of a video: the newest that was asked for. What is asked for while a picture is made
// waits, and only the last of that.

import { failureOf } from "../failure";
import type { Message } from "../messages";
import { type Decoders, Film, type Picture } from "./film";

export class Screen<P extends Picture, Developed extends Picture> {
  private readonly film: Film<P>;
  private asked: readonly Message[] = [];
  private working: Promise<void> | undefined;
  /** Counts how often nothing was to be shown any more. */
  private era = 0;

  constructor(
    decoders: Decoders<P>,
    /** What is shown of a picture. */
    private readonly develop: (picture: P) => Promise<Developed>,
    private readonly show: (message: Message, made: Developed | Error) => void,
  ) {
    this.film = new Film(decoders);
  }

  /** The newest of these, which is made of all of them. Resolves when nothing waits to be shown. */
  ask(run: readonly Message[]): Promise<void> {
    this.asked = run;
    this.working ??= this.work();
    return this.working;
  }

  /** Shows nothing of what was asked for so far. */
  forget(): void {
    this.asked = [];
    this.era++;
  }

  close(): void {
    this.forget();
    this.film.close();
  }

  private async work(): Promise<void> {
    for (let message; (message = this.asked.at(-1)) !== undefined; ) {
      const { asked, era } = this;
      this.asked = [];
      const made = await this.make(asked).catch((error: unknown) => new Error(failureOf(error).words));
      if (era === this.era) this.show(message, made);
      else if (!(made instanceof Error)) made.close();
    }
    this.working = undefined;
  }

  private async make(run: readonly Message[]): Promise<Developed> {
    const picture = await this.film.pictureOf(run);
    return this.develop(picture).finally(() => picture.close());
  }
}
