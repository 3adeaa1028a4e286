// Reads an MCAP by its URL with @mcap/core: in Node.js and in a browser.

// What McapIndexedReader reads from: each read is one request for exactly that range.
class RemoteFile {
  constructor(url, size) {
    this.url = url;
    this.bytes = size;
  }

  // As viewers do: asks for everything, and leaves when the headers are here.
  static async open(url) {
    const leaving = new AbortController();
    const answer = await fetch(url, { signal: leaving.signal });
    leaving.abort();
    const length = answer.headers.get("content-length");
    if (answer.status !== 200 || answer.headers.get("accept-ranges") !== "bytes" || !length) {
      throw new Error(`${answer.status}: cannot be read by ranges, or its size is unknown`);
    }
    return new RemoteFile(url, BigInt(length));
  }

  async size() {
    return this.bytes;
  }

  async read(offset, size) {
    if (size === 0n) {
      return new Uint8Array();
    }
    const range = `bytes=${offset}-${offset + size - 1n}`;
    const answer = await fetch(this.url, { headers: { range } });
    const data = new Uint8Array(await answer.arrayBuffer());
    if (answer.status !== 206 || BigInt(data.byteLength) !== size) {
      throw new Error(`${range}: ${answer.status} with ${data.byteLength} bytes`);
    }
    return data;
  }
}

async function line(topic, message) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", message.data));
  const hex = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  const { logTime, publishTime, sequence } = message;
  return `${logTime} ${publishTime} ${sequence} ${topic} ${hex}`;
}

// The messages of the whole file, forwards and backwards, of a window of time (texts, in
// nanoseconds) and of one topic, each as a line.
export async function readByUrl(McapIndexedReader, decompressHandlers, { url, from, to, topic }) {
  const readable = await RemoteFile.open(url);
  const reader = await McapIndexedReader.Initialize({ readable, decompressHandlers });
  const messages = async (selection) => {
    const lines = [];
    for await (const message of reader.readMessages({ validateCrcs: true, ...selection })) {
      lines.push(await line(reader.channelsById.get(message.channelId).topic, message));
    }
    return lines;
  };
  return {
    counted: Number(reader.statistics.messageCount),
    all: await messages({}),
    reverse: await messages({ reverse: true }),
    window: await messages({ startTime: BigInt(from), endTime: BigInt(to) }),
    topic: await messages({ topics: [topic] }),
  };
}

// What is asked on a command line: (<URL> <from> <to> <topic>)...
export function questions(words) {
  const asked = [];
  for (let at = 0; at < words.length; at += 4) {
    const [url, from, to, topic] = words.slice(at, at + 4);
    asked.push({ url, from, to, topic });
  }
  return asked;
}
