"""worker."""

from typing import Annotated

import typer


def worker(
    jobs: Annotated[int | None, typer.Option("--jobs", metavar="N", min=1, help="Jobs at a time (default 3).")] = None,
    drain: Annotated[
        bool, typer.Option("--drain", help="Exit when nothing is left to do; 10 if a job failed.")
    ] = False,
    until: Annotated[str | None, typer.Option("--until", metavar="TIME", help="Exit at this time: 07:00, +3h.")] = None,
    limit_rate: Annotated[
        str | None, typer.Option("--limit-rate", metavar="RATE", help="Bytes a second for all jobs: 500K, 5M, off.")
    ] = None,
    node: Annotated[str | None, typer.Option("--node", metavar="NAME", help="Work under this node's name.")] = None,
) -> int:
    """Fetch what is queued, until stopped.

    Ctrl-C or SIGTERM hands every job back with all that came, and ends it within seconds; a second one at once.
    """
    import logging
    import sys
    from datetime import datetime

    from flowhub_jobs.home import opened
    from flowhub_jobs.records import micros
    from flowhub_jobs.settings import load_settings
    from flowhub_jobs.times import parse_time
    from flowhub_jobs.words import parse_rate
    from flowhub_jobs.worker.app import run_worker

    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    for foreign in ("huey", "httpx", "httpcore", "alembic"):
        logging.getLogger(foreign).setLevel(logging.WARNING)
    end = micros(parse_time(until, datetime.now().astimezone())) if until else None
    rate = parse_rate(limit_rate) if limit_rate else None
    settings = load_settings(jobs=jobs, node=node, limit_rate=rate)
    with opened(settings) as home:
        return run_worker(home, slots=settings.jobs, drain=drain, until_us=end)
