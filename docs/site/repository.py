"""Makes pages of the site of whatever its documents link to elsewhere in the repository.

A preprocessor of mdBook. In the repository such a link is relative (../deploy/prometheus), and leads
out of docs/, of which the site is made. Here a file becomes a page that shows it, a folder one that
lists its files, a Markdown document (a folder's README.md, too) a chapter, whose own links are
followed in turn; and the link is made to lead there.
"""

import json
import os
import pathlib
import posixpath
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCS = "docs"
# Where the pages lie in the site.
PAGES = "repository"
LANGUAGES = {".cpp": "cpp", ".json": "json", ".py": "python", ".rs": "rust", ".toml": "toml",
             ".yaml": "yaml"}
CODE = re.compile(r"(^ {0,3}(?P<fence>`{3,}|~{3,}).*?^ {0,3}(?P=fence)[ \t]*$"
                  r"|(?P<ticks>`+)(?!`).+?(?<!`)(?P=ticks)(?!`))", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^()\s]+)\)")


class Site:
    """The pages that were found to be needed, in the order in which they were."""

    def __init__(self):
        self.pages = {}

    def text(self, text, folder, page):
        """A document that lies in this folder of the repository, as it stands on this page."""
        parts, at = [], 0
        for code in CODE.finditer(text):
            parts += [self.links(text[at:code.start()], folder, page), code[0]]
            at = code.end()
        return "".join([*parts, self.links(text[at:], folder, page)])

    def links(self, text, folder, page):
        return LINK.sub(lambda link: f"]({self.target(link[1], folder, page)})", text)

    def target(self, target, folder, page):
        path, mark, anchor = target.partition("#")
        if not path or re.match(r"[a-z][a-z+.-]*:|//", path):
            return target
        there = posixpath.normpath(posixpath.join(folder, path))
        if there.startswith(f"{DOCS}/"):
            # mdBook calls README.md so.
            there = re.sub(r"(^|/)README\.md$", r"\1index.md", posixpath.relpath(there, DOCS))
        else:
            there = self.page(there)
        return posixpath.relpath(there, posixpath.dirname(page) or ".") + mark + anchor

    def page(self, path):
        """The page of a file or a folder of the repository."""
        place = ROOT / path
        if place.is_dir() and (place / "README.md").exists():
            path, place = f"{path}/README.md", place / "README.md"
        page = f"{PAGES}/{path}" if path.endswith(".md") else f"{PAGES}/{path}.md"
        if path not in self.pages:
            # Before its content: documents link to each other.
            self.pages[path] = {"name": path, "path": page, "content": ""}
            self.pages[path]["content"] = self.content(path, place, page)
        return page

    def content(self, path, place, page):
        if place.is_dir():
            names = sorted(entry.name for entry in place.iterdir() if entry.is_file())
            lines = [f"- [{name}]({name})" for name in names]
            return self.text(f"# `{path}`\n\n" + "\n".join(lines) + "\n", path, page)
        if not place.is_file():
            sys.exit(f"there is no {path}, to which a document links")
        text = place.read_text()
        if place.suffix == ".md":
            return self.text(text, posixpath.dirname(path), page)
        fence = "`" * max([3, *(len(ticks) + 1 for ticks in re.findall("`+", text))])
        language = LANGUAGES.get(place.suffix, "text")
        return f"# `{path}`\n\n{fence}{language}\n{text.rstrip()}\n{fence}\n"


def chapters(items):
    for item in items:
        if isinstance(item, dict) and "Chapter" in item:
            yield item["Chapter"]
            yield from chapters(item["Chapter"]["sub_items"])


def main():
    if sys.argv[1:2] == ["supports"]:
        sys.exit(0)
    _, book = json.load(sys.stdin)
    site = Site()
    for chapter in chapters(book["items"]):
        folder = posixpath.dirname(posixpath.join(DOCS, chapter["path"]))
        chapter["content"] = site.text(chapter["content"], folder, chapter["path"])
    if site.pages:
        book["items"].append({"PartTitle": "In the repository"})
    for path, page in sorted(site.pages.items()):
        book["items"].append({"Chapter": {**page, "number": None, "sub_items": [],
                                          "source_path": None, "parent_names": []}})
    json.dump(book, sys.stdout)


if __name__ == "__main__":
    os.chdir(ROOT)
    main()
