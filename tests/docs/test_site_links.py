"""The hook's own rules: where files stand in the site, and how docstrings become Markdown."""

import doctest

import site_docstrings
import site_links


def test_the_examples_in_the_docstrings():
    for module in (site_links, site_docstrings):
        done = doctest.testmod(module)
        assert (done.failed, done.attempted > 0) == (0, True)


def test_links_lead_where_the_site_has_their_targets():
    text = (
        "[a](filter.md#columns) [b](../notebooks/01_quickstart.ipynb) [c](../matir_nb/types.py)\n"
        "[d](https://example.org) [`e`](../CONTRIBUTING.md#x) [f](../training) [g](#here)\n"
        "```\n[h](../README.md)\n```\n![i](flow.svg)\n"
    )
    assert site_links.rewritten("docs/x.md", text) == (
        "[a](filter.md#columns) [b](tutorials/01_quickstart.md) [c](files/matir_nb/types.py.txt)\n"
        "[d](https://example.org) [`e`](contributing.md#x) f [g](#here)\n"
        "```\n[h](../README.md)\n```\n![i](flow.svg)\n"
    )
    found = site_links.targets("docs/x.md", text)
    assert found[:3] == ["docs/filter.md", "notebooks/01_quickstart.ipynb", "matir_nb/types.py"]


def test_a_page_in_a_folder_links_upwards():
    text = "[a](../concepts.md) [b](../../LICENSE) [c](types.md)"
    wanted = "[a](../concepts.md) [b](../files/LICENSE.txt) [c](types.md)"
    assert site_links.rewritten("docs/api/engine.md", text) == wanted


def test_a_block_of_a_docstring_is_fenced():
    text = "Add::\n\n    a = b + c\n        d\n\nThen `SearchResult.save` and `Hit.rank` and `x`."
    assert site_docstrings.readable(text) == (
        "Add:\n\n```text\na = b + c\n    d\n```\n\n"
        "Then [`SearchResult.save`][matir_nb.SearchResult.save] and `Hit.rank` and `x`."
    )
