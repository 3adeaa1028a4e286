"""Checks that every link of the built site that stays in it leads somewhere, anchors included."""

import html.parser
import pathlib
import sys
import urllib.parse

SITE = pathlib.Path(sys.argv[1]).resolve()


class Page(html.parser.HTMLParser):
    def __init__(self, path):
        super().__init__()
        self.links, self.anchors = [], set()
        self.feed(path.read_text())

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in ("href", "src") and value:
                self.links.append(value)
            if name == "id" or (tag == "a" and name == "name"):
                self.anchors.add(value)


def main():
    pages = {path: Page(path) for path in SITE.rglob("*.html")}
    wrong, checked = [], 0
    for path, page in pages.items():
        # Its links are meant for wherever it is shown.
        if path.name == "404.html":
            continue
        for link in page.links:
            parts = urllib.parse.urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            checked += 1
            there = (path.parent / urllib.parse.unquote(parts.path)).resolve() if parts.path else path
            if there.is_dir():
                there /= "index.html"
            anchor = urllib.parse.unquote(parts.fragment)
            if SITE not in there.parents or not there.is_file():
                wrong.append(f"{path.relative_to(SITE)}: {link} leads nowhere")
            elif anchor and there in pages and anchor not in pages[there].anchors:
                wrong.append(f"{path.relative_to(SITE)}: {link} has no such anchor")
    if wrong or not checked:
        sys.exit("\n".join(wrong) or f"no links in {SITE}")
    print(f"the site: {len(pages)} pages, {checked} links within it, each leads somewhere")


main()
