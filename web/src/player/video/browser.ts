// Decoders as browsers have them: WebCodecs.

import type { Unit } from "../video";
import type { Decoder, Decoders } from "./film";

const settings = (codec: string): VideoDecoderConfig => ({ codec, optimizeForLatency: true });

// What was asked of the browser, by codecs.
const supported = new Map<string, Promise<boolean>>();

async function isSupported(codec: string): Promise<boolean> {
  try {
    return (await VideoDecoder.isConfigSupported(settings(codec))).supported === true;
  } catch {
    return false; // A codec that it does not even know the name of.
  }
}

export const browserDecoders: Decoders<VideoFrame> = {
  async check(format, codec) {
    if (typeof VideoDecoder === "undefined") {
      throw new Error(
        isSecureContext
          ? "this browser has no WebCodecs, which video needs"
          : "browsers decode video only for pages over https or of localhost",
      );
    }
    let answer = supported.get(codec);
    if (answer === undefined) supported.set(codec, (answer = isSupported(codec)));
    if (!(await answer)) throw new Error(`this browser does not decode ${format} (${codec})`);
  },

  start(picture, failed): Decoder {
    const decoder = new VideoDecoder({ output: (frame) => picture(frame, frame.timestamp), error: failed });
    return {
      get waiting() {
        return decoder.decodeQueueSize;
      },
      configure: (codec) => decoder.configure(settings(codec)),
      // Frames come out with the number that they went in with.
      decode: ({ data, isKey }: Unit, id) => {
        const type = isKey ? "key" : "delta";
        decoder.decode(new EncodedVideoChunk({ type, timestamp: id, data: data as BufferSource }));
      },
      flush: () => decoder.flush(),
      reset: () => decoder.reset(),
      close: () => decoder.state === "closed" || decoder.close(),
    };
  },

  pause: (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds)),
};
