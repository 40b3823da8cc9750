"""A field to type queries into, with the hits below."""

from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from time import perf_counter
from typing import TYPE_CHECKING, Any

from traitlets import Dict, Enum, Int, List, Tuple, Unicode, default, validate

from matir_nb.engines import Engines
from matir_nb.errors import ConfigError, MatirError, nearest
from matir_nb.home import registered
from matir_nb.home.settings import load
from matir_nb.results import SearchResult
from matir_nb.widgets.base import ResultView
from matir_nb.widgets.jobs import JSON, TEXT, WHOLE, WHOLE_OR_NULL, Answer, Job, Route
from matir_nb.widgets.table import result_id, table_bytes, was_cut_short
from matir_nb.widgets.values import TraitValueError

if TYPE_CHECKING:
    from matir_nb.engine import Engine

JUDGES = ("default", "structured", "trained", "none")
MAX_HISTORY = 30


class SearchBox(ResultView):
    """A query field, choice of index and judge, progress per stage, and the grid of the hits.

    A new search takes the place of the one under way. Selection and marks belong to the query
    shown and go with it; `review` remembers the marks of every query, so they are there again when
    it is searched again.
    """

    _kind = Unicode("search", read_only=True, help="Which view the browser makes.").tag(sync=True)

    query = Unicode("", help="The words in the field.").tag(sync=True)
    indexes = Tuple(read_only=True, help="Names of the indexes to choose from.").tag(sync=True)
    index = Unicode("", help="Name of the index that is searched.").tag(sync=True)
    judges = Tuple(default_value=JUDGES, read_only=True, help="Judges to choose from.").tag(
        sync=True
    )
    judge = Enum(
        JUDGES, "default", help="Who judges: 'default' = the engine's own, 'none' = stage 1 only."
    ).tag(sync=True)
    k = Int(12, min=1, help="Hits wanted.").tag(sync=True)
    n_judged = Int(
        None, allow_none=True, min=0, help="Candidates that the judge sees; None = the preset's."
    ).tag(sync=True)
    where = Unicode(
        "", help="Which images are searched at all, as in `Engine.search`, in SQL; empty = all."
    )
    history = List(Dict(), help="Earlier searches, newest first: query, n_hits, seconds.").tag(
        sync=True
    )

    shows_one_result = False

    def __init__(
        self,
        engine: "Engine | None" = None,
        *,
        indexes: Mapping[str, str | Path] | None = None,
        **traits: Any,
    ) -> None:
        """Offer indexes to search.

        Args:
            engine: an open index; it comes first.
            indexes: name -> index folder, opened when first searched; None = only `engine`, or,
                without one, all that are known by name (`matir list`).
            traits: those of the class and of `ResultView`, e.g. ``k=48``.

        Raises:
            ConfigError: there is nothing to search, or an option cannot be used.
        """
        paths, current = _named(engine, indexes)
        self._paths = paths
        self._given = {} if engine is None else {current: engine}
        self._engines = Engines()
        self._opening = Lock()
        traits = {"index": current, **_defaults(traits), **traits}
        super().__init__(None, **traits)

    def search(self, query: str | None = None, **options: Any) -> SearchResult:
        """Search as the button does, show the hits, and return them.

        Args:
            query: words; None = those in the field.
            options: index, judge, k, n_judged or where; what is left out stays as it is in the box.

        Raises:
            MatirError: the search is not possible, or a newer one took its place.
        """
        sent = ("index", "judge", "k", "n_judged")
        for name in options:
            if name not in (*sent, "where"):
                message = f"unknown option {name!r} of search: {nearest(name, (*sent, 'where'))}"
                raise ConfigError(message)
        if query is not None:
            options["query"] = query
        self._assign(options)
        fields = {name: getattr(self, name) for name in ("query", *sent)}
        found = self._open_requests().call("search", **fields)
        return self._just_shown(found["result"])

    def _routes(self) -> dict[str, Route]:
        fields = {
            "query": TEXT,
            "index": TEXT,
            "judge": TEXT,
            "k": WHOLE,
            "n_judged": WHOLE_OR_NULL,
        }
        return super()._routes() | {
            "search": Route(
                fields,
                self._answer_search,
                lane="search",
                is_newest_only=True,
                ends=("judge_more",),
                answers_when_cancelled=True,
            )
        }

    def _answer_search(self, request: JSON, job: Job) -> Answer:
        """Search, show the hits and say so; a cancelled search shows what it has found."""
        if request["judge"] not in JUDGES:
            message = f"unknown judge {request['judge']!r:.40}: {nearest(request['judge'], JUDGES)}"
            raise ConfigError(message)
        engine = self._engine(request["index"], job)
        job.stop_if_superseded()
        if job.is_cancelled():
            raise MatirError("aborted: cancelled before the search began")
        started = perf_counter()
        job.report("retrieve", 0, 1)
        options = _judging(request["judge"]) | ({"where": self.where} if self.where else {})
        result = engine.search(
            request["query"],
            k=request["k"],
            n_judged=request["n_judged"],
            cancel=job.is_cancelled,
            progress=lambda done, total: job.report("judge", done, total),
            **options,
        )
        self._show(result, job, perf_counter() - started)
        is_cut = was_cut_short(result)
        return {"result": result_id(result), "n_hits": len(result), "cancelled": is_cut}, []

    def _engine(self, name: str, job: Job) -> "Engine":
        """Return the engine of an index, opened when it is first asked for, or has changed."""
        if name not in self._paths:
            message = f"unknown index {name!r:.60}: {nearest(name, self._paths)}"
            raise ConfigError(message)
        if name in self._given:
            return self._given[name]
        with self._opening:
            job.report("open", 0, 1)
            engine = self._engines.on(self._paths[name])
            job.report("open", 1, 1)
        return engine

    def _show(self, result: SearchResult, job: Job, seconds: float) -> None:
        """Put `result` in place of the one shown, in one message to the browser."""
        entry = {"query": result.query, "n_hits": len(result), "seconds": round(seconds, 3)}
        others = [old for old in self.history if old.get("query") != result.query]
        with self._turn(job), self.hold_sync():
            marks = self._together.start(result)
            self.selection, self.marks, self.current = (), marks, ""
            self._table = table_bytes(result)
            self.history = [entry, *others][:MAX_HISTORY]

    def _assign(self, values: Mapping[str, Any]) -> None:
        with self._together.lock, self.hold_trait_notifications():
            for name, value in values.items():
                setattr(self, name, value)

    @default("indexes")
    def _index_names(self) -> tuple[str, ...]:
        return tuple(self._paths)

    @validate("index")
    def _check_index(self, proposal: Mapping[str, Any]) -> str:
        name: str = proposal["value"]
        if name not in self._paths:
            message = f"unknown index {name!r:.60}: {nearest(name, self._paths)}"
            raise TraitValueError(message)
        return name


def _named(
    engine: "Engine | None", indexes: Mapping[str, str | Path] | None
) -> tuple[dict[str, Path], str]:
    """Return name -> path of all indexes, that of `engine` first, and the name to begin with."""
    paths = {name: Path(path) for name, path in (indexes or {}).items()}
    if engine is not None:
        name = registered.free_name(engine.index.path, paths)
        return {name: engine.index.path, **paths}, name
    if indexes is not None and paths:
        return paths, next(iter(paths))
    known = registered.known()
    if indexes is not None or not known.paths:
        message = "there is nothing to search: give an engine, or indexes={'name': 'folder.matir'}"
        raise ConfigError(message)
    return dict(known.paths), known.current or next(iter(known.paths))


def _defaults(traits: Mapping[str, Any]) -> dict[str, Any]:
    """Return the user's settings for what `traits` leave open."""
    settings = load()
    own = {"k": settings.k, "tile_px": settings.tile_px}
    return {name: value for name, value in own.items() if name not in traits}


def _judging(name: str) -> dict[str, Any]:
    """Return `Engine.search`'s option for a judge chosen in the box."""
    return {"judge": {"default": None, "none": False}.get(name, name)}
