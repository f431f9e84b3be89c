"""A hook of mkdocs: the site has the tree of the repository, so that every link of a document works in both.

mkdocs takes the files of one folder, and our documents link to others: the README, the pool's contract, a
test, a settings file.  So the site is made of what a reader can reach from the README, each under its path
here, documents as pages and the rest as it is.  Folders in ``nav`` stand for their documents, in the order in
which one meets them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import ConfigurationError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
START = "README.md"
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
ELSEWHERE = re.compile(r"[a-z]+:|#")
# What follows the language of a fence is for the tests that run it.
FENCE = re.compile(r"^( *```\w+) +(?:(?:file|from)=(\S+))?.*$", flags=re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Give the site what is reached, instead of what is in ``docs_dir``."""
    reached = list(_reached())
    config.nav = [_unfolded(entry, reached) for entry in config.nav or []]
    theme = [file for file in files if file.src_dir != config.docs_dir]
    return Files([*theme, *(_file(config, path) for path in reached)])


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Show the name of a fence's file, and none of its words for tests."""
    return FENCE.sub(lambda found: found[1] + (f' title="{found[2]}"' if found[2] else ""), markdown)


def _reached() -> Iterator[str]:
    """The paths of all that links lead to; one that leads nowhere is left to mkdocs, which tells it."""
    ahead, seen = [START], {START}
    while ahead:
        path = ahead.pop(0)
        yield path
        if not path.endswith(".md"):
            continue
        document = ROOT / path
        for link in LINK.findall(document.read_text()):
            target = (document.parent / link.partition("#")[0]).resolve()
            if ELSEWHERE.match(link) or not target.is_file():
                continue
            if (found := str(target.relative_to(ROOT))) not in seen:
                seen.add(found)
                ahead.append(found)


def _file(config: MkDocsConfig, path: str) -> File:
    file = File.generated(config, path, abs_src_path=str(ROOT / path))
    file.dest_uri = file.dest_uri.removeprefix("docs/")
    return file


def _unfolded(entry: Any, reached: list[str]) -> Any:
    """``{title: folder/}`` as ``{title: [documents]}``; any other entry as it is."""
    if not isinstance(entry, dict):
        return entry
    [(title, inside)] = entry.items()
    if isinstance(inside, list):
        return {title: [_unfolded(one, reached) for one in inside]}
    if not inside.endswith("/"):
        return entry
    pages = [path for path in reached if path.endswith(".md") and Path(path).parent == Path(inside)]
    if not pages:
        raise ConfigurationError(f"nav: no link from {START} leads to a document in {inside}")
    return {title: pages}
