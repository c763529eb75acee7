"""Searches the index for models that contain the words and pass the filters, in order. Uses SQLite alone: fast."""

import json
import re
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import quote

from flowhub_jobs.catalogs.search_filters import Filters, conditions, parameter_range
from flowhub_jobs.catalogs.search_query import Query
from flowhub_jobs.fs.safe_read import is_regular
from flowhub_jobs.values.artifacts import Artifact

SCHEMA = 2  # counts up when the tables change, or the folding of words

# The columns of the full text, each with the weight of a word there.
WEIGHTS = {
    "id": 12.0,
    "name": 10.0,
    "family": 6.0,
    "publisher": 5.0,
    "tags": 4.0,
    "variants": 3.0,
    "facts": 2.0,
    "description": 1.0,
}
_RANK = f"bm25(words_fts, {', '.join(map(str, WEIGHTS.values()))})"
# Of models that match alike, the ids that begin with the words, the newest first: BM25's second decimal tells how long
# a description is, and nothing that a reader could follow.
_ALIKE = "substr(m.id_key, 1, length(:key)) = :key DESC, m.released_at IS NULL, m.released_at DESC, m.number"
ORDERS = {
    # `7b` is also the end of `1.7b`: the models that have so many parameters come first.
    "best": "m.id_key = :key DESC, m.name_key = :key DESC, m.parameter_count BETWEEN :from AND :to DESC, "
    f"round({_RANK}, 1), {_ALIKE}",
    "catalog": "m.number",
    "name": "m.name_key, m.id",
    "recent": "m.released_at IS NULL, m.released_at DESC, m.number",
}

_PARAMETERS = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,4})?[bm]", re.IGNORECASE)


class IndexedModel(NamedTuple):
    """A model, as the catalog has it. `number` is its place in the index; `tags` is a list in JSON."""

    number: int
    id: str
    name: str
    publisher: str | None
    family: str | None
    description: str | None
    tags: str
    license: str | None
    parameters: str | None
    context_length: int | None
    released_at: str | None
    catalog: str | None


class OptionRow(NamedTuple):
    """One variant of a model; `needs` are its needs of a machine as JSON, `words` its names, folded."""

    model: int
    option: str
    format: str
    quantization: str | None
    bytes: int | None
    words: str
    needs: str


class ListedOption(NamedTuple):
    """One variant of a listed model and its artifact; `needs` are its needs of a machine as JSON."""

    quantization: str | None
    needs: str
    artifact: Artifact


class ListedModel(NamedTuple):
    """A model with all that its catalog says of it.

    `facts` are in the catalog's words (contextLength, …), without the variants; `options` are in the catalog's order.
    """

    id: str
    catalog: str | None
    facts: dict[str, Any]
    options: tuple[ListedOption, ...]


class ParsedQuery(NamedTuple):
    """A query against an index: in FTS5's language (None: every model; empty: nothing can have it), and corrected."""

    query: Query
    match: str | None
    corrected: bool = False


class IndexReader:
    """One index, open for reading. Any method may raise sqlite3.DatabaseError: the file is damaged."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @classmethod
    def open(cls, path: Path, signature: str) -> Self | None:
        """Return the index at `path`; None if there is none, or it is damaged, or not made from these catalogs."""
        if not is_regular(path):  # SQLite would wait at a pipe, and no signal ends that
            return None
        try:
            # It is never changed in its place, so that neither locks nor a journal are needed: `immutable`.
            connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro&immutable=1", uri=True)
        except sqlite3.Error:
            return None
        index = cls(connection)
        try:
            about = index.about
        except (sqlite3.Error, ValueError):
            about = {}
        if about.get("schema") == str(SCHEMA) and about.get("signature") == signature:
            return index
        index.close()
        return None

    def close(self) -> None:
        self._connection.close()

    @property
    def about(self) -> dict[str, str]:
        return dict(self._connection.execute("SELECT name, value FROM about").fetchall())

    # Words ---------------------------------------------------------------------------------------------------------

    def parse(self, query: Query) -> ParsedQuery:
        """Return the parsed query. A word counts as a typo only if no model has a word that begins with it."""
        if not query.terms:
            return ParsedQuery(query, None)
        if not query.findable:
            return ParsedQuery(query, "")
        missing = [word for word in query.words if not self._begins(word)]
        other = self._corrections(missing) if missing else {}
        if len(other) < len(missing):
            return ParsedQuery(query, "")
        right = query.corrected(other)
        match = next((match for match in (right.strict, right.loose) if self._has(match)), "")
        return ParsedQuery(right, match, bool(other and match))

    def _begins(self, word: str) -> bool:
        # Text is compared by its UTF-8, in which no byte is above F4.
        sql = "SELECT 1 FROM vocabulary WHERE word >= ? AND word < ? LIMIT 1"
        return self._connection.execute(sql, (word, f"{word}\U0010ffff")).fetchone() is not None

    def _corrections(self, missing: Sequence[str]) -> dict[str, str]:
        from flowhub_jobs.catalogs.suggest import nearest_word

        models_by_word = dict(self._connection.execute("SELECT word, models FROM vocabulary").fetchall())
        nearest = {word: nearest_word(word, models_by_word) for word in missing}
        return {word: right for word, right in nearest.items() if right is not None}

    def _has(self, match: str) -> bool:
        sql = "SELECT 1 FROM words_fts WHERE words_fts MATCH ? LIMIT 1"
        return self._connection.execute(sql, (match,)).fetchone() is not None

    # Models --------------------------------------------------------------------------------------------------------

    def numbers(self, parsed: ParsedQuery, filters: Filters, order: str, limit: int | None = None) -> list[int]:
        """Return the models that have the words and pass the filters, by `ORDERS`; at most `limit`, if there is one."""
        if parsed.match == "":
            return []
        tables_and_conditions, values = _from_and_where(parsed, filters)
        sql = f"SELECT m.number {tables_and_conditions} ORDER BY {ORDERS[order]} LIMIT :limit"
        least, most = _parameters_named(parsed.query)
        values |= {"key": parsed.query.key, "from": least, "to": most, "limit": -1 if limit is None else limit}
        return [number for (number,) in self._connection.execute(sql, values)]

    def count(self, parsed: ParsedQuery, filters: Filters) -> int:
        if parsed.match == "":
            return 0
        tables_and_conditions, values = _from_and_where(parsed, filters)
        (count,) = self._connection.execute(f"SELECT count(*) {tables_and_conditions}", values).fetchone()
        return int(count)

    def numbers_of(self, ids: Sequence[str]) -> set[int]:
        sql = "SELECT number FROM models WHERE id IN (SELECT value FROM json_each(?))"
        return {number for (number,) in self._connection.execute(sql, (json.dumps(ids),))}

    def models(self, numbers: Sequence[int]) -> list[IndexedModel]:
        """Return these models in this order."""
        sql = f"SELECT {', '.join(IndexedModel._fields)} FROM models WHERE number IN (SELECT value FROM json_each(?))"  # noqa: S608
        rows = map(IndexedModel._make, self._connection.execute(sql, (json.dumps(list(numbers)),)))
        by_number = {row.number: row for row in rows}
        return [by_number[number] for number in numbers]

    def options(self, numbers: Sequence[int], filters: Filters) -> dict[int, list[OptionRow]]:
        """Return the variants of these models that pass the filters, by model, in the catalog's order."""
        filter_conditions = conditions(filters)
        where = " AND ".join(["o.model IN (SELECT value FROM json_each(:numbers))", *filter_conditions.option])
        rows = self._connection.execute(
            f"SELECT {', '.join(OptionRow._fields)} FROM options o WHERE {where} ORDER BY o.rowid",  # noqa: S608
            {"numbers": json.dumps(list(numbers)), **filter_conditions.values},
        )
        by_model: dict[int, list[OptionRow]] = {number: [] for number in numbers}
        for row in map(OptionRow._make, rows):
            by_model[row.model].append(row)
        return by_model

    def listed(self, model_id: str) -> ListedModel | None:
        """Return the model with this id; None where the catalogs have none."""
        sql = "SELECT number, catalog, facts, artifacts FROM models JOIN cards USING (number) WHERE id = ?"
        row = self._connection.execute(sql, (model_id,)).fetchone()
        if row is None:
            return None
        number, catalog, facts, artifacts = row
        try:
            installs = [Artifact.from_dict(one) for one in json.loads(artifacts)]
            options = zip(self.options([number], Filters())[number], installs, strict=True)
            listed = tuple(ListedOption(one.quantization, one.needs, artifact) for one, artifact in options)
            return ListedModel(model_id, catalog, json.loads(facts), listed)
        except ValueError as error:
            raise sqlite3.DatabaseError(f"the details of {model_id} are damaged: {error}") from error

    def titles(self) -> dict[str, str]:
        """Return each model's name by its id, in the catalog's order."""
        return dict(self._connection.execute("SELECT id, name FROM models ORDER BY number").fetchall())

    def all_options(self) -> set[tuple[str, str]]:
        """Return each model's id with each of its options."""
        return set(self._connection.execute("SELECT m.id, o.option FROM options o JOIN models m ON m.number = o.model"))

    def values(self, column: str) -> list[str]:
        """Return the most frequent values of `license`, `publisher` or `family`."""
        sql = f"SELECT {column} FROM models WHERE {column} > '' GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 8"  # noqa: S608
        return [value for (value,) in self._connection.execute(sql)]

    def tags(self, limit: int) -> list[str]:
        """Return the most frequent tags."""
        sql = (
            "SELECT value FROM models, json_each(tags) WHERE json_valid(tags) "
            "GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT ?"
        )
        return [value for (value,) in self._connection.execute(sql, (limit,))]


def _parameters_named(query: Query) -> tuple[int, int]:
    """Return from and to of the first term that is a number of parameters, such as `7b`; else a range that no model
    has."""
    for text in query.typed:
        if _PARAMETERS.fullmatch(text):
            least, most = parameter_range(text)
            return least, (most or least) - 1
    return -1, -1


def _from_and_where(parsed: ParsedQuery, filters: Filters) -> tuple[str, dict[str, Any]]:
    """Return the FROM and WHERE of a search, and the values in it."""
    filter_conditions = conditions(filters)
    where, values = list(filter_conditions.model), dict(filter_conditions.values)
    tables = "FROM models m"
    if parsed.match is not None:
        tables = "FROM words_fts JOIN models m ON m.number = words_fts.rowid"
        where.insert(0, "words_fts MATCH :match")
        values["match"] = parsed.match
    if filter_conditions.option:
        of_option = " AND ".join(["o.model = m.number", *filter_conditions.option])
        where.append(f"EXISTS (SELECT 1 FROM options o WHERE {of_option})")  # noqa: S608
    return f"{tables} WHERE {' AND '.join(where)}" if where else tables, values
