"""Put a benchmark's table into benchmarks/README.md.

`python -m benchmarks.agents | python -m benchmarks.page agents`

What comes in on standard input replaces what stands between `<!-- agents -->` and `<!-- /agents -->`, and is printed.
"""

from __future__ import annotations

import sys
from pathlib import Path

PAGE = Path(__file__).with_name("README.md")


def replaced(page: str, name: str, content: str) -> str:
    """The page with new content between the marks of that name.

    Raises:
        SystemExit: the page lacks a mark, or there is no content: the benchmark has failed.
    """
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    if page.count(begin) != 1 or page.count(end) != 1:
        raise SystemExit(f"{PAGE.name}: expected {begin.strip()} and {end} once each")
    if not content.strip():
        raise SystemExit(f"{name}: nothing came in, so the page stays as it is")
    before, _, rest = page.partition(begin)
    return f"{before}{begin}\n{content.strip()}\n\n{end}{rest.partition(end)[2]}"


def main() -> None:
    """Replace and print."""
    content = sys.stdin.read()
    PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8"), sys.argv[1], content), encoding="utf-8")
    print(content, end="")


if __name__ == "__main__":
    main()
