"""Every link and every anchor of a built site leads somewhere.

Deliberately absent: addresses of other hosts, since whether these answer is not the tree's.
"""

import html.parser
import re
import urllib.parse

OUTSIDE = {"http", "https", "mailto", "data"}


class Page(html.parser.HTMLParser):
    """Where a page leads, what of it can be led to, and its headings."""

    def __init__(self, text):
        super().__init__()
        self.ids = set()
        self.targets = []
        self.headings = []
        self.heading = None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if "id" in attributes:
            self.ids.add(attributes["id"])
        for name in ("href", "src"):
            if attributes.get(name) is not None and tag != "base":
                self.targets.append(attributes[name])
        if re.fullmatch("h[1-6]", tag):
            self.heading = (attributes.get("id"), [])

    def handle_data(self, data):
        if self.heading:
            self.heading[1].append(data)

    def handle_endtag(self, tag):
        if re.fullmatch("h[1-6]", tag) and self.heading:
            given, words = self.heading
            self.headings.append((given, "".join(words)))
            self.heading = None


def broken(site):
    """A sentence for each link that leads nowhere, and each anchor that is another elsewhere."""
    pages = {path: Page(path.read_text()) for path in sorted(site.rglob("*.html"))}
    found = []
    for path, page in pages.items():
        name = path.relative_to(site).as_posix()
        # This one is shown for any address, and has its own for a base.
        if name == "404.html":
            continue
        for target in sorted(set(page.targets)):
            if not leads_somewhere(pages, path, target):
                found.append(f"{name}: {target}")
        found += [f"{name}: {problem}" for problem in odd_anchors(page)]
    return found


def leads_somewhere(pages, path, target):
    url = urllib.parse.urlsplit(target)
    if url.scheme in OUTSIDE:
        return True
    # Whoever serves the site says where it lies, so nothing begins at the root of a host.
    if url.scheme or url.netloc or url.path.startswith("/"):
        return False
    there = (path.parent / urllib.parse.unquote(url.path)).resolve() if url.path else path
    if there.is_dir():
        there /= "index.html"
    if not there.is_file():
        return False
    # A document that is no page would be shown as the text of its source.
    if there.suffix == ".md":
        return False
    anchor = urllib.parse.unquote(url.fragment)
    return not anchor or there not in pages or anchor in pages[there].ids


def odd_anchors(page):
    """Headings whose anchor in the site is not the one that GitHub gives, where the same links are
    read, too."""
    seen = {}
    for given, words in page.headings:
        if given is None or not words:
            continue
        slug = re.sub(r"[^\w\- ]", "", words.strip().lower()).replace(" ", "-")
        count = seen.get(slug, 0)
        seen[slug] = count + 1
        wanted = f"{slug}-{count}" if count else slug
        if given != wanted:
            yield f"the heading {words.strip()!r} is #{given} here and #{wanted} on GitHub"
