"""docs/scores.md: every number that is shown has an entry.

Columns and entries of ledgers are asked of the code, labels and fields of the wire of the
TypeScript sources.
"""

import ast
import inspect
import re
from dataclasses import fields

import pytest
import scores_page as pages
from documented_tables import SCHEMAS as DOCUMENTED
from fakes import bare_hit
from scores_page import PAGE, ROOT, numeric

from matir_nb import terms
from matir_nb.config import JudgeConfig
from matir_nb.explain import entries as ledger_module
from matir_nb.explain.cut import Cut
from matir_nb.explain.occlusion import OCCLUSION_SCHEMA
from matir_nb.explain.sensitivity import SENSITIVITY_SCHEMA, Sensitivity
from matir_nb.explain.traced import REGION_HEAD, TRACE_SCHEMA, TracedRegion
from matir_nb.explain.words import WORDS_SCHEMA, WordMatrix
from matir_nb.exports.text import HEAD
from matir_nb.exports.trec import RUN_SCHEMA
from matir_nb.index.calibrations import Calibration
from matir_nb.results import SearchResult
from matir_nb.types import Histogram, LogOdds, Provenance

TEXT = PAGE.read_text(encoding="utf-8")
ENTRIES = pages.entries_of(TEXT)
NO_SCORES = pages.no_scores_of(TEXT)
SCHEMAS = {
    **DOCUMENTED,
    "WORDS_SCHEMA": WORDS_SCHEMA,
    "OCCLUSION_SCHEMA": OCCLUSION_SCHEMA,
    "TRACE_SCHEMA": TRACE_SCHEMA,
    "SENSITIVITY_SCHEMA": SENSITIVITY_SCHEMA,
    "RUN_SCHEMA": RUN_SCHEMA,
}
FLAGS = {"holds", "is_found"}
"""Columns of yes and no that are no verdict on a score."""
OBJECTS = (Cut, LogOdds, Histogram, JudgeConfig, Calibration, TracedRegion, WordMatrix, Sensitivity)
ELSEWHERE = {"quantiles", "counts", "edges", "rest", "box_iou", "min_align_iou", "predicted_iou"}
ELSEWHERE |= {"gap", "stability_score", "area", "auc", "confidence", "recall", "n_judged_done"}
"""Names of the wire, of options, of functions and of other programs' records."""


def documented():
    return NO_SCORES | {column for entry in ENTRIES.values() for column in entry.columns}


def test_every_entry_is_whole():
    assert pages.incomplete(ENTRIES) == []
    cut = pages.entries_of(TEXT.replace("- **Null:** ", "- Null ", 1))
    assert pages.incomplete(cut) == ["best_region_score: Null"]


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_number_of_a_table_has_an_entry(name):
    wanted = numeric(SCHEMAS[name])
    assert wanted
    assert [column for column in wanted if column not in documented() | FLAGS] == []


def test_the_tables_are_those_of_schema_md():
    text = (ROOT / "docs" / "schema.md").read_text(encoding="utf-8")
    described = set(re.findall(r"^## `(\w+_SCHEMA)`", text, re.MULTILINE))
    assert described
    assert described <= SCHEMAS.keys()


def test_every_column_of_an_entry_exists():
    known = {column for schema in SCHEMAS.values() for column in schema}
    known |= {field.name for kind in OBJECTS for field in fields(kind)} | {"median"} | ELSEWHERE
    nothing = SearchResult("", (), Provenance("", {}, {}, {}, {}))
    known |= set(nothing.compare(nothing).summary)
    assert [c for e in ENTRIES.values() for c in e.columns if c not in known] == []


def ledger_names():
    """Return the names that the code gives entries, and those of its own glossary."""
    tree = ast.parse(inspect.getsource(ledger_module))
    places = {"_product": 1, "Entry": 1, "_step": 0}
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in places:
            argument = node.args[places[node.func.id]]
            names |= {argument.value} if isinstance(argument, ast.Constant) else set()
    both = bare_hit(hub_score=0.1, reference_score=0.1)
    names |= {name for name, _, _ in terms.adjustments(both, {})}
    glossary = re.findall(
        r"^    (?:retrieve|judge|align|) +(\S.*?)  ", ledger_module.__doc__, re.MULTILINE
    )
    return names, set(glossary)


def test_every_entry_of_a_ledger_has_an_entry():
    names, glossary = ledger_names()
    assert names == glossary
    assert {"winning margin", "de-hubbing", "clip", "no region"} < names
    assert [name for name in names if name not in ENTRIES] == []


LABELS = {
    "grid/bars.ts": r'\bname: "([^"]+)"',
    "grid/toolbar.ts": r'h\("span", null, "(score[^"]*)"\)',
    "inspector/region_table.ts": r'^  \["\w+", "([^"]+)", "',
    "inspector/readout.ts": r'\bnumber\("([^"]+)"',
    "inspector/occlusion.ts": r'\bchange\("([^"]+)"',
    "inspector/ledger.ts": r'termTable\("[^"]+", "([^"]+)"',
    "inspector/why.ts": r'termTable\(caption, "([^"]+)"',
    "inspector/term_bars.ts": r'const rest = \{ name: "([^"]+)"',
    "inspector/index.ts": r'^      \["([^"]+)", score\(',
    "inspector/header.ts": r"`(stage 1 #|judge #|final #|final score )\$\{",
    "inspector/judge.ts": r"`(p|logit) \$\{s",
    "flow/distribution.ts": r'_score: "([^"]+)"',
    "compare/index.ts": r'^    \[["`]([^"`$]+)',
}
"""File of js/src -> where the names of its numbers stand."""
NO_NUMBERS = {"region"}


def labels_of(file):
    source = (ROOT / "js" / "src" / file).read_text(encoding="utf-8")
    return [label.strip() for label in re.findall(LABELS[file], source, re.MULTILINE)]


def is_told(label):
    shown = [*ENTRIES, *(name for entry in ENTRIES.values() for name in entry.labels)]
    spaces = re.compile(rf"(?:= |… )?{re.escape(label)}(?:$|[ \d@])")
    return any(spaces.match(name) for name in shown)


@pytest.mark.parametrize("file", LABELS)
def test_every_label_of_a_number_in_the_views_is_told(file):
    labels = labels_of(file)
    assert labels
    assert [label for label in labels if label not in NO_NUMBERS and not is_told(label)] == []
    assert not is_told("karma")


def test_every_heading_of_a_number_in_text_is_told():
    words = {"image", "mask_box", "answer", "mark", "box"} | NO_NUMBERS | NO_SCORES
    heads = [*HEAD, *REGION_HEAD, "stage1#", "judge#"]
    told = documented()
    assert [h for h in heads if h not in words and h not in told and not is_told(h)] == []


WIRE = {
    "base": "region_score",
    "region_scores": "region_score",
    "score": "region_score",
    "percentile": "null_percentile",
    "difference": "gap",
    "ranks": "rank",
    "judge": "p_relevant",
    "stage1_terms": "stage-1 term",
    "seconds": "seconds",
}
"""Fields of the wire whose entry has another name."""
NO_VALUES = {"version", "row", "buffer", "id", "box", "mask_size", "size", "has_mask", "abstained"}
NO_VALUES |= {"region", "words", "phrases", "judged_box", "chosen", "copies"}
"""Fields of the wire that place, name or flag something."""


def wire_fields():
    """Return the fields with numbers that a kernel sends a view."""
    found = set()
    for file in ("protocol.ts", "compare/states.ts"):
        source = (ROOT / "js" / "src" / file).read_text(encoding="utf-8")
        source = re.sub(r"/\*\*.*?\*/", "", source, flags=re.DOTALL)
        for name, body in re.findall(
            r"^export interface (\w+) \{(.*?)^\}", source, re.DOTALL | re.MULTILINE
        ):
            if not name.endswith(("Request", "Traits", "Reply")) or name in SHOWN_REPLIES:
                found |= set(
                    re.findall(r"^  (\w+)\??: [^;]*\b(?:number|0 \| 1)\b", body, re.MULTILINE)
                )
    return found


SHOWN_REPLIES = ("InspectReply", "WhyReply", "WordsReply", "OccludeReply")


def test_every_number_that_a_view_is_sent_has_an_entry():
    sent = wire_fields()
    assert {"final_score", "predicted_iou", "rbo", "stage1_score", "by_word", "gap"} < sent
    assert {WIRE[name] for name in WIRE} <= ENTRIES.keys()
    told = documented() | NO_VALUES | WIRE.keys() | ENTRIES.keys() | {"a", "b"}
    assert [name for name in sent if name not in told] == []


def test_every_link_within_the_page_leads_somewhere():
    headings = re.findall(r"^#+ (.+)$", TEXT, re.MULTILINE)
    anchors = {re.sub(r"[^\w\s-]", "", name).lower().replace(" ", "-") for name in headings}
    links = re.findall(r"\]\(#([^)]+)\)", TEXT)
    assert links
    assert [link for link in links if link not in anchors] == []
