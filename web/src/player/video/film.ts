// From the messages of a video to the picture of the newest: a decoder is given what it lacks, all from
// the key frame on after a jump, only the new frames while it goes on. Knows no browser.

import { failureOf } from "../failure";
import type { Message } from "../messages";
import { type Unit, unitOf } from "../video";

/** WebCodecs' decoder, as far as it is used. */
export interface Decoder {
  /** How many frames it has yet to look at. */
  readonly waiting: number;
  configure(codec: string): void;
  decode(unit: Unit, id: number): void;
  /** Gives out what it holds back; a key frame has to be next. */
  flush(): Promise<void>;
  reset(): void;
  close(): void;
}

export interface Picture {
  close(): void;
}

/** What a film needs of the world. */
export interface Decoders<P extends Picture> {
  /** @throws an error in words if such video is not decoded here */
  check(format: string, codec: string): Promise<void>;
  /** A decoder that failed is closed. */
  start(picture: (picture: P, id: number) => void, failed: (error: unknown) => void): Decoder;
  pause(milliseconds: number): Promise<void>;
}

/** The decoder failed: of what it was given, or because the browser took it away. */
class Broken extends Error {}

// A decoder that has nothing to do, and gives nothing out for so long, holds the picture back.
const HELD_BACK_MS = 50;

export class Film<P extends Picture> {
  private decoder: Decoder | undefined;
  private codec: string | undefined;
  /** What the decoder has been given last; none: a key frame has to be next. */
  private fed: Message | undefined;
  private fedUntil = -1n;
  /** The last that was given to it, and the last that came out of it. */
  private lastId = 0;
  private out = 0;
  private isClosed = false;
  private wanted: { id: number; come(picture: P): void; fail(error: Error): void } | undefined;
  /** Frames at which decoding failed, twice. */
  private readonly damaged = new WeakMap<Message, Error>();

  constructor(private readonly decoders: Decoders<P>) {}

  /**
   * The picture of the newest, which is made of all of them. One is asked for at a time.
   *
   * @throws an error in words for people
   */
  async pictureOf(run: readonly Message[]): Promise<P> {
    try {
      return await this.develop(run, false);
    } catch (error) {
      if (!(error instanceof Broken)) throw error;
      return this.develop(run, true);
    }
  }

  close(): void {
    this.isClosed = true;
    this.decoder?.close();
    this.lose(new Error("it is not shown any more"));
  }

  private async develop(run: readonly Message[], isSecond: boolean): Promise<P> {
    const at = this.fed === undefined ? -1 : run.lastIndexOf(this.fed);
    const goesOn = at >= 0 && at < run.length - 1;
    const fresh = goesOn ? run.slice(at + 1) : run;
    const [first] = fresh;
    if (first === undefined || (!goesOn && first.isDelta === true)) {
      throw new Error("no key frame lies before this moment; it begins with the next one");
    }
    for (const message of fresh) {
      const error = this.damaged.get(message);
      if (error !== undefined) throw error;
    }
    const units: Unit[] = [];
    for (const message of fresh) units.push(await unitOf(message));
    const before = this.lastId;
    try {
      const decoder = goesOn ? this.decoder : await this.begin(units[0] as Unit, first);
      if (decoder === undefined) throw new Broken("the browser took its decoder away");
      return await this.feed(decoder, units, fresh);
    } catch (error) {
      this.fed = undefined;
      if (!(error instanceof Broken) || !isSecond) throw error;
      const why = error.message.replace(/\.$/, "");
      const damage = new Error(`it is damaged (${why}), and goes on with the next key frame`);
      this.damaged.set(fresh[Math.max(this.out - before, 0)] ?? first, damage);
      throw damage;
    }
  }

  /** Makes the decoder ready for a key frame. */
  private async begin({ codec, format }: Unit, { logTime }: Message): Promise<Decoder> {
    if (codec === undefined) {
      throw new Error(`a key frame lacks the parameter sets that ${format} begins with`);
    }
    await this.decoders.check(format, codec);
    if (this.isClosed) throw new Error("it is not shown any more");
    const isBack = logTime <= this.fedUntil;
    const known = this.decoder;
    const decoder = known ?? this.decoders.start((picture, id) => this.take(picture, id), (error) => {
      this.lose(new Broken(failureOf(error).words));
    });
    this.decoder = decoder;
    if (known !== undefined && isBack) decoder.reset();
    if (known === undefined || isBack || codec !== this.codec) decoder.configure(codec);
    this.codec = codec;
    return decoder;
  }

  private async feed(decoder: Decoder, units: readonly Unit[], messages: readonly Message[]): Promise<P> {
    const id = this.lastId + units.length;
    const picture = new Promise<P>((come, fail) => (this.wanted = { id, come, fail }));
    try {
      for (const unit of units) decoder.decode(unit, ++this.lastId);
      this.fed = messages.at(-1);
      this.fedUntil = this.fed?.logTime ?? -1n;
    } catch (error) {
      this.lastId = id;
      this.lose(new Broken(failureOf(error).words));
      decoder.close();
    }
    const here = picture.then(() => true);
    let out = -1;
    while (!(await Promise.race([here, this.later()]))) {
      const isQuiet = decoder.waiting === 0 && out === this.out;
      out = this.out;
      if (!isQuiet) continue;
      this.fed = undefined;
      await decoder.flush().catch((error: unknown) => this.lose(new Broken(failureOf(error).words)));
      this.giveUp(new Error("the decoder made no picture of this message"));
      break;
    }
    return picture;
  }

  private async later(): Promise<false> {
    await this.decoders.pause(HELD_BACK_MS);
    return false;
  }

  private take(picture: P, id: number): void {
    this.out = id;
    if (this.wanted?.id === id) {
      this.wanted.come(picture);
      this.wanted = undefined;
    } else {
      picture.close();
    }
  }

  private lose(error: Error): void {
    this.decoder = undefined;
    this.fed = undefined;
    this.giveUp(error);
  }

  private giveUp(error: Error): void {
    this.wanted?.fail(error);
    this.wanted = undefined;
  }
}
