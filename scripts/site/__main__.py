"""The documents of this tree as a site: `scripts/docs` calls it, and the check `site`.

    python scripts/site OUT [--mdbook PROGRAM]

Builds the site into the folder OUT, and looks at every link and anchor of every page. Its exit
code is 1 when one leads nowhere, and then each is named.
"""

import argparse
import pathlib
import sys

from build import TOP, Fault, build
from links import broken


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--mdbook", default=TOP / "target/tools/venv/bin/mdbook", type=pathlib.Path)
    options = parser.parse_args()
    try:
        site = build(TOP, options.out.resolve(), options.mdbook)
    except Fault as fault:
        sys.exit(f"scripts/site: {fault}")
    found = broken(site)
    for line in found:
        print(line, file=sys.stderr)
    print(f"{site}/index.html")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
