"""The cost of `status`, `enqueue` and a claim with ten finished jobs in the table, and with a hundred thousand."""

import shutil
import sqlite3
import statistics
from contextlib import closing

from lib.bench.context import Context
from lib.bench.figures import Claim, Result
from lib.bench.home import BenchHome, model_of
from lib.bench.processes import measured

FEW, MANY = 10, 100_000
ROUNDS = 5
MORE = 1.2  # times the cost with few jobs: the noise of a command of half a second


def scale(context: Context) -> Result:
    """The same three commands over a table of ten and of a hundred thousand finished jobs."""
    few_costs, many_costs = _costs(context, FEW), _costs(context, MANY)
    lines = tuple(
        f"{verb}: {few_costs[verb]:.2f} s of CPU with {FEW} finished jobs, {many_costs[verb]:.2f} s with {MANY:,}"
        for verb in few_costs
    )
    worst = max(many_costs[verb] / few_costs[verb] for verb in few_costs)
    reached = f"{worst:.2f} x at worst ({', '.join(few_costs)})"
    claim = Claim(f"{MANY:,} finished jobs", f"at most {MORE:g} x the cost with {FEW}", reached, worst <= MORE)
    return Result(lines=lines, claims=(claim,))


def _costs(context: Context, finished: int) -> dict[str, float]:
    """Return the median CPU seconds of each command, with its start."""
    files = [context.files.one(f"scale{number}.bin", 1 << 20, seed=number) for number in range(ROUNDS + 1)]
    place = BenchHome(context, context.nginx.plain, files)
    place.ask("enqueue", model_of(files[0]))
    place.drained()
    _multiply(place, finished)
    costs: dict[str, list[float]] = {"status": [], "enqueue": [], "worker --drain": []}
    for file in files[1:]:
        costs["status"].append(_cost(place, "status"))
        costs["enqueue"].append(_cost(place, "enqueue", model_of(file)))
        costs["worker --drain"].append(_cost(place, "worker", "--drain"))
    shutil.rmtree(place.home)
    return {verb: statistics.median(found) for verb, found in costs.items()}


def _cost(place: BenchHome, *arguments: str) -> float:
    return measured(place.command(*arguments), place.home, place.environ).cpu_s


def _multiply(place: BenchHome, finished: int) -> None:
    """Write copies of the finished job."""
    with closing(sqlite3.connect(place.home / "flowhub.db")) as database, database:
        columns = [row[1] for row in database.execute("PRAGMA table_info(jobs)") if row[1] != "id"]
        names = ", ".join(f'"{name}"' for name in columns)
        values = names.replace('"finished_at"', '"finished_at" - n')
        copies = f"WITH RECURSIVE copies(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM copies WHERE n < {finished - 1})"
        database.execute(f"INSERT INTO jobs ({names}) {copies} SELECT {values} FROM jobs, copies WHERE id = 1")
