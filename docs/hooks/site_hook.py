"""What `mkdocs build` does besides: fill in what is made from the code, and lead links out of `docs/` to the files.

A page says `<!-- commands -->` where generated text belongs; `MAKERS` lists the words. Links to files of the repository
are written as they work in it (`../../src/voin/method/window.py`); on the site each such file has a page of its own.
"""

from __future__ import annotations

import inspect
import posixpath
import re
from collections.abc import Callable
from pathlib import Path

from command_tables import commands_markdown
from config_tables import configs_markdown
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from schema_tables import schema_markdown

ROOT = Path(__file__).resolve().parents[2]
DOCS = "docs"
# Pages of the site that are files at the root of the repository.
ROOT_PAGES = {"CONTRIBUTING.md": "develop/contributing.md"}
LINK = re.compile(r"(?<=\]\()([^)\s#:]+)(?=[)#\s])")
MARK = re.compile(r"^<!-- (\w+)(?:: (\S+))? -->$", re.MULTILINE)
# Pages of files stand beside the others: they are not found by a search, nor listed.
_HIDDEN = "---\nsearch:\n  exclude: true\nhide:\n  - navigation\n---\n\n"
_LANGUAGES = {".py": "python", ".sh": "bash", ".toml": "toml", ".yml": "yaml", ".json": "json", ".md": "markdown"}


def public_names(_: str = "") -> str:
    """List the names of `voin`, for mkdocstrings."""
    import voin

    found = [(name, getattr(voin, name)) for name in voin.__all__ if not name.startswith("_")]
    return "\n\n".join(f"::: {each.__module__}.{name}" for name, each in found if inspect.getmodule(each))


MAKERS: dict[str, Callable[[str], str]] = {
    "commands": lambda _: commands_markdown(),
    "numbers": configs_markdown,
    "schema": lambda path: schema_markdown(ROOT / DOCS / path),
    "public": public_names,
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each file of the repository that some page points to."""
    for source, page in ROOT_PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    wanted: list[str] = []
    for file in files.documentation_pages():
        wanted += _targets(file.content_string, _home(file.src_uri))
    seen: set[str] = set()
    while wanted:
        target = wanted.pop()
        if target in seen or not _is_source(target):
            continue
        seen.add(target)
        content, inner = _source_page(target)
        wanted += inner
        files.append(File.generated(config, _page_of(target), content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fill in generated text, then turn links to files of the repository into links to their pages."""
    del config, files
    if page.file.src_uri.startswith("source/") and not page.file.src_uri.endswith("/index.md"):
        return markdown  # a file as it is
    markdown = MARK.sub(lambda found: MAKERS[found[1]](found[2] or ""), markdown)
    home, here = _home(page.file.src_uri), posixpath.dirname(page.file.src_uri)

    def lead(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(home, found[1]))
        known = _is_document(target) or _is_source(target)
        return posixpath.relpath(_page_of(target), here or ".") if known else found[1]

    return LINK.sub(lead, markdown)


def _home(src_uri: str) -> str:
    """Give the folder of the repository that a page's links start from."""
    original = next((source for source, page in ROOT_PAGES.items() if page == src_uri), f"{DOCS}/{src_uri}")
    # Generated pages of files hold links from the root.
    return "" if src_uri.startswith("source/") else posixpath.dirname(original)


def _targets(markdown: str, home: str) -> list[str]:
    return [posixpath.normpath(posixpath.join(home, target)) for target in LINK.findall(markdown)]


def _is_document(target: str) -> bool:
    return target in ROOT_PAGES or (target.startswith(f"{DOCS}/") and not target.startswith(f"{DOCS}/hooks"))


def _is_source(target: str) -> bool:
    return not target.startswith("..") and not _is_document(target) and (ROOT / target).exists()


def _page_of(target: str) -> str:
    if _is_document(target):
        return ROOT_PAGES.get(target, target.removeprefix(f"{DOCS}/"))
    return f"source/{target}/index.md" if (ROOT / target).is_dir() else f"source/{target}.md"


def _source_page(target: str) -> tuple[str, list[str]]:
    """Give the text of a file's or a folder's page, and the files that it points to."""
    path = ROOT / target
    if path.is_dir():
        inner = sorted(
            each.relative_to(ROOT).as_posix()
            for each in path.iterdir()
            if each.name[0] not in "._" and (each.is_dir() or each.suffix in _LANGUAGES)
        )
        rows = [f"| [`{posixpath.basename(each)}`]({each}) | {_summary(ROOT / each)} |" for each in inner]
        lines = [f"# {target}/", "", _summary(path), "", "| file | what it is |", "|---|---|", *rows]
        return _HIDDEN + "\n".join(lines), inner
    text = path.read_text(encoding="utf-8")
    fence = "`" * 3 if "```" not in text else "`" * 6
    return f"{_HIDDEN}# {target}\n\n{fence}{_LANGUAGES.get(path.suffix, 'text')}\n{text}\n{fence}\n", []


def _summary(path: Path) -> str:
    """Give the first sentence of a module or a room."""
    path = path / "__init__.py" if path.is_dir() else path
    if path.suffix != ".py" or not path.is_file():
        return ""
    found = re.match(r'"""(.+?)(?:\n\n|""")', path.read_text(encoding="utf-8"), re.DOTALL)
    return " ".join(found[1].split()) if found else ""
