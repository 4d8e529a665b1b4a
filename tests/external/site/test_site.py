"""The documents become a site in which every link leads somewhere, and what leads nowhere is
found."""

import os
import pathlib
import sys

import pytest

TOP = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(TOP / "scripts/site"))
from build import Fault, build, contents  # noqa: E402
from links import Page, broken  # noqa: E402

MDBOOK = pathlib.Path(os.environ.get("MDBOOK", TOP / "target/tools/venv/bin/mdbook"))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return build(TOP, tmp_path_factory.mktemp("site"), MDBOOK)


def test_every_link_and_anchor_leads_somewhere(site):
    assert broken(site) == []


def test_what_is_in_the_contents_is_a_page_and_in_its_list(site):
    _, pages = contents(TOP)
    assert len(pages) > 100
    listed = {target.split("#")[0] for target in Page((site / "toc.html").read_text()).targets}
    for page in pages:
        path = page.replace("README.md", "index.md").removesuffix(".md") + ".html"
        assert (site / path).is_file()
        assert path in listed


def test_what_pages_show_comes_with_them(site):
    for page in (site / "docs").glob("*.html"):
        for target in Page(page.read_text()).targets:
            if target.endswith((".png", ".svg")) and target.startswith("pictures/"):
                assert (page.parent / target).stat().st_size > 0
    assert (site / "docs/pictures/web-chat-desk-en.png").is_file()


@pytest.fixture
def small(tmp_path):
    """A tree of two pages whose links are good, and what a change of it makes."""
    docs = tmp_path / "tree/docs"
    docs.mkdir(parents=True)
    for file in ("book.toml", "site.css"):
        (docs / file).write_text((TOP / "docs" / file).read_text())
    icon = tmp_path / "tree/web/public/icon.svg"
    icon.parent.mkdir(parents=True)
    icon.write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (docs / "SUMMARY.md").write_text("# Contents\n\n[Top](../README.md)\n\n- [One](ONE.md)\n")
    (docs / "ONE.md").write_text("# One\n\n## A part\n\n[up](../README.md#top)\n")
    (tmp_path / "tree/README.md").write_text("# Top\n\n[down](docs/ONE.md#a-part)\n")

    def with_change(file, text):
        path = tmp_path / "tree" / file
        if text is None:
            path.unlink()
        else:
            path.write_text((path.read_text() if path.exists() else "") + text)
        return broken(build(tmp_path / "tree", tmp_path / "out", MDBOOK))

    return with_change


def test_a_good_tree_has_nothing_to_say(small):
    assert small("docs/ONE.md", "\n`[no](link.md)`\n\n[code](../src/lib.rs)\n") == []


@pytest.mark.parametrize(
    "link",
    [
        "docs/TWO.md",
        "docs/ONE.md#another-part",
        "#nowhere",
        "docs/pictures/none.png",
        "docs/none.toml",
        "ftp://elsewhere/page",
    ],
)
@pytest.mark.parametrize("form", ["\n[there]({})\n", "\n![there]({})\n", '\n<a href="{}">a</a>\n'])
def test_a_link_that_leads_nowhere_is_found(small, link, form):
    assert any(line.startswith("index.html: ") for line in small("README.md", form.format(link)))


@pytest.mark.parametrize("link", ["//elsewhere/page", "/docs/ONE.html"])
def test_a_link_from_the_root_is_found(small, link):
    # Whoever serves the site says where it lies.
    assert small("README.md", f'\n<a href="{link}">a</a>\n') == [f"index.html: {link}"]
    with pytest.raises(Fault, match="outside"):
        small("README.md", f"\n[there]({link})\n")


def test_a_document_that_is_no_page_is_no_target(small):
    found = small("docs/ONE.md", "\n[there](TWO.md)\n")
    assert found == ["docs/ONE.html: TWO.html"]


def test_an_anchor_that_github_calls_otherwise_is_found(small):
    # In the site this one is `a--b`, and so it is there.
    assert small("docs/ONE.md", "\n## A, b\n") == []
    (found,) = small("docs/ONE.md", "\n## A\u00adb {#chosen}\n")
    assert "#chosen here" in found


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("docs/SUMMARY.md", "- [Two](TWO.md)\n", "TWO.md"),
        ("docs/SUMMARY.md", "- [One again](ONE.md)\n", "twice"),
        ("docs/SUMMARY.md", "- [Out](../../OUT.md)\n", "outside"),
        ("docs/ONE.md", "\n[out](../../OUT.md)\n", "outside"),
        ("docs/ONE.md", "\n<table>\n\n# A\n", "WARN"),
    ],
)
def test_contents_that_cannot_be_right_are_a_fault(small, file, text, words):
    with pytest.raises(Fault, match=words):
        small(file, text)
