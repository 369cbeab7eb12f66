"""A hook of mkdocs: pages of the repository that lie outside docs/ join the site, and links between all of them hold.

The Markdown files are written for people who read them in the repository. A link there to a page of the site becomes
the page's own address; of one to any other file, such as a module or a test, the text stays.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PAGES = {
    "index.md": "README.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
    "experiments.md": "experiments/README.md",
    "benchmarks.md": "benchmarks/README.md",
}
"""Page of the site by where it lies in the repository."""

LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^]]*)\]\((?P<path>[^)#:\s]+)(?P<anchor>#[^)\s]*)?\)")
"""A link to a file of the repository: an address of the web has a colon, one within the page begins with #."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The pages of docs/ and those beside it."""
    for page, path in PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, files: Files, **_: object) -> str:
    """The page's text with its links turned to where they lead on the site.

    Raises:
        PluginError: a link to a file that is not there.
    """
    source = PAGES.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    return LINK.sub(lambda link: _turned(link, source, page.file.src_uri, files), markdown)


def _turned(link: re.Match[str], source: str, here: str, files: Files) -> str:
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), link["path"]))
    if not (ROOT / path).exists():
        raise PluginError(f"{source}: links to '{path}', which is not there")
    on_site = {repository: page for page, repository in PAGES.items()}.get(path, path.removeprefix("docs/"))
    file = files.get_file_from_path(on_site)
    if file is None or file.inclusion.is_excluded():
        return link["text"]
    address = posixpath.relpath(on_site, posixpath.dirname(here) or ".")
    return f"{link['image']}[{link['text']}]({address}{link['anchor'] or ''})"
