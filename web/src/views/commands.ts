// What is copied to be run elsewhere.

/** For a shell. */
export function quoted(text: string): string {
  return `'${text.replace(/'/g, `'\\''`)}'`;
}

export function pythonFor(url: string): string {
  return `# pip install mcap
import urllib.request

from mcap.reader import make_reader

# With a token: urllib.request.Request(url, headers={"Authorization": "Bearer …"})
url = ${JSON.stringify(url)}
with urllib.request.urlopen(url) as answer:
    for schema, channel, message in make_reader(answer).iter_messages():
        print(message.log_time, channel.topic, len(message.data))
`;
}

