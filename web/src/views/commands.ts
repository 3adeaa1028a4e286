// What is copied to be run elsewhere: with the link of a file, which needs no session.

/** For a shell. */
export function quoted(text: string): string {
  return `'${text.replace(/'/g, `'\\''`)}'`;
}

/** A file that is not ready is a 503, which curl tries again when the loader says. */
export function curlFor(url: string): string {
  return `curl --fail --retry 20 -o selection.mcap ${quoted(url)}`;
}

export function pythonFor(url: string): string {
  return `# pip install mcap
import time
import urllib.error
import urllib.request

from mcap.reader import make_reader

URL = ${JSON.stringify(url)}

while True:
    try:
        urllib.request.urlretrieve(URL, "selection.mcap")
        break
    except urllib.error.HTTPError as error:
        # The loader is still loading what is in it.
        if error.code != 503:
            raise
        time.sleep(int(error.headers.get("retry-after", "1")))

with open("selection.mcap", "rb") as file:
    for schema, channel, message in make_reader(file).iter_messages():
        print(message.log_time, channel.topic, len(message.data))
`;
}
