"""Hook of mkdocs: pages that are not in ``docs/``, and links that lead out of it."""

import logging
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from site_links import ROOT, place_of, rewritten, targets
from site_notebooks import page_of

HOW = """*This page shows the notebook [`{path}`](../files/{path}) as the repository
stores it. To run it: `jupyter lab {path}`, or [on Binder](../binder.md).*
"""
TOP_PAGES = ("CONTRIBUTING.md", "CHANGELOG.md")
LOG = logging.getLogger("mkdocs.hooks.site_pages")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the tutorials, the pages at the top of the repository, and the files that pages name."""
    texts = {f"docs/{file.src_uri}": file.content_string for file in files.documentation_pages()}
    for name in TOP_PAGES:
        if (ROOT / name).is_file():
            texts[name] = (ROOT / name).read_text(encoding="utf-8")
            content = rewritten(name, texts[name])
            files.append(File.generated(config, place_of(name), content=content))
    for notebook in sorted((ROOT / "notebooks").glob("0*.ipynb")):
        texts[f"notebooks/{notebook.name}"] = _add_notebook(files, config, notebook)
    named = {target for path, text in texts.items() for target in targets(path, text)}
    for target in sorted(named):
        _add_file(files, config, target)
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Let links of the pages in ``docs/`` lead where the site has their targets."""
    is_ours = page.file.generated_by is None
    return rewritten(f"docs/{page.file.src_uri}", markdown) if is_ours else markdown


def _add_notebook(files: Files, config: MkDocsConfig, notebook: Path) -> str:
    """Add the page of a notebook, its pictures and the file itself; return its Markdown."""
    path = f"notebooks/{notebook.name}"
    tutorial = page_of(notebook)
    title, _, rest = rewritten(path, tutorial.text).partition("\n")
    content = f"{title}\n\n{HOW.format(path=path)}\n{rest}"
    files.append(File.generated(config, place_of(path), content=content))
    for name, data in tutorial.pictures.items():
        place = f"tutorials/{tutorial.folder}/{name}"
        files.append(File.generated(config, place, content=data))
    files.append(File.generated(config, f"files/{path}", abs_src_path=str(notebook)))
    return tutorial.text


def _add_file(files: Files, config: MkDocsConfig, target: str) -> None:
    """Add a copy of a file of the repository, if it has no place in the site yet."""
    source, place = ROOT / target, place_of(target)
    if target.startswith("..") or files.get_file_from_path(place) or source.is_dir():
        return
    if not source.is_file():
        LOG.warning("a page links to %r, which does not exist", target)
        return
    if place.startswith("files/"):
        files.append(File.generated(config, place, abs_src_path=str(source)))
