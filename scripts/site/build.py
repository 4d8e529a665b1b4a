"""From the documents where they lie to a book of mdBook, with the same paths below each other, so
that their links hold as they are.

Deliberately absent: pages of the site's own. docs/SUMMARY.md says what is a page and in which
order; what stands in a folder with one (a decision, a runbook) follows its README by itself.
"""

import pathlib
import re
import shutil
import subprocess

TOP = pathlib.Path(__file__).resolve().parents[2]

# A line of the table of contents, and a link within a page.
ENTRY = re.compile(r"^(?P<indent> *)(?P<bullet>- )?\[(?P<title>[^\]]+)\]\((?P<path>[^)]+)\)$")
LINK = re.compile(r"\[(?P<text>(?:[^\[\]]|\[[^\]]*\])*)\]\((?P<target>[^)\s]+)\)")

# What is written beside the pages: each of their files stands in the table by itself.
WITH_ALL_PAGES = {"docs/decisions/README.md", "alertmanager/runbooks/README.md"}


class Fault(Exception):
    """What the documents have wrong, in a sentence."""


def build(top, out, mdbook):
    """The folder of the finished site."""
    source = out / "src"
    shutil.rmtree(out, ignore_errors=True)
    source.mkdir(parents=True)
    summary, pages = contents(top)
    (source / "SUMMARY.md").write_text(summary)
    for page in pages:
        place(top, source, page, pages)
    for file in ("book.toml", "site.css"):
        shutil.copy(top / "docs" / file, out / file)
    (out / "theme").mkdir()
    shutil.copy(top / "web/public/icon.svg", out / "theme/favicon.svg")
    done = subprocess.run([mdbook, "build", out], capture_output=True, text=True, check=False)
    # What it finds odd, such as a tag that is not closed, is an error: nobody reads warnings.
    if done.returncode != 0 or "WARN" in done.stderr:
        raise Fault(f"mdBook says:\n{done.stderr}")
    return out / "book"


def contents(top):
    """The table of contents with paths from the top, and the pages in it."""
    folder = top / "docs"
    lines, pages = [], []
    for line in (folder / "SUMMARY.md").read_text().splitlines():
        entry = ENTRY.match(line)
        if not entry:
            lines.append(line)
            continue
        page = relative(folder / entry["path"], top)
        if not (top / page).is_file():
            raise Fault(f"{page} is not there")
        if page in pages:
            raise Fault(f"{page} stands in the table of contents twice")
        lines.append(f"{entry['indent']}{entry['bullet'] or ''}[{entry['title']}]({page})")
        pages.append(page)
        if page in WITH_ALL_PAGES:
            for child in sorted((top / page).parent.glob("*.md")):
                if child.name != "README.md":
                    pages.append(relative(child, top))
                    lines.append(f"{entry['indent']}  - [{title(child)}]({pages[-1]})")
    return "\n".join(lines) + "\n", pages


def relative(path, top):
    try:
        return pathlib.Path(path).resolve().relative_to(top.resolve()).as_posix()
    except ValueError:
        raise Fault(f"{path} is outside of the tree") from None


def title(page):
    """The first heading."""
    with page.open() as lines:
        return next(line for line in lines if line.startswith("# "))[2:].strip()


def place(top, source, page, pages):
    """The page where its links expect it, and the files that it shows or links to."""
    where = top / page

    def link(found):
        path, _, _ = found["target"].partition("#")
        if "://" in found["target"] or found["target"].startswith("mailto:") or not path:
            return found[0]
        target = where.parent / path
        name = relative(target, top)
        # Sources are read in the tree; a site of documents has no page for them.
        if target.is_dir() or name.startswith("src/"):
            return found["text"]
        if name not in pages and not target.suffix == ".md":
            copy = source / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            if target.is_file():
                shutil.copy(target, copy)
        # mdBook makes index.html of each README.md, and leaves links to it as they are.
        to = re.sub(r"(?<![^/])README\.md(?=#|$)", "index.md", found["target"])
        return f"[{found['text']}]({to})"

    text = "".join(
        part if part.startswith("```") else LINK.sub(link, part)
        for part in re.split(r"^(```.*?^```)", where.read_text(), flags=re.MULTILINE | re.DOTALL)
    )
    (source / page).parent.mkdir(parents=True, exist_ok=True)
    (source / page).write_text(text)
