"""The summary of a run."""

import time
from collections import Counter
from collections.abc import Iterator

from lib.chaos.snapshot import Snapshot

MB = 1e6


def table(snapshot: Snapshot) -> Iterator[str]:
    run, totals = snapshot.run, snapshot.bytes()
    states = Counter(str(job.state) for job in snapshot.jobs)
    peak = max(run.network.tally.per_second.values(), default=0)
    yield ""
    yield f"rounds    {run.done.total()} in {time.monotonic() - run.began:.0f} s: {_counted(run.done)}"
    yield f"disk      {'of its own, filled and freed' if run.disk.is_real else 'writing was refused inside'}"
    yield f"workers   {len(run.workers.all)}"
    yield f"jobs      {len(snapshot.jobs)}: {_counted(states)}"
    yield f"attempts  {len(snapshot.attempts)}: {_counted(snapshot.outcomes)}"
    yield (
        f"sent      {totals.sent / MB:.1f} MB in {len(snapshot.asked)} requests, at most {peak / MB:.1f} MB in a"
        f" second; to fetch were {totals.to_fetch / MB:.1f} MB"
    )
    yield f"again     {totals.again / MB:.1f} MB, for {sum(map(snapshot.turned, run.models))} bytes that came wrong"
    each = totals.lost / max(1, totals.strokes)
    yield (
        f"lost      {totals.lost / MB:.2f} MB: {each / MB:.2f} MB for each of {totals.strokes} kills, suspensions and"
        f" leases lost by delay ({snapshot.lost_leases}); a second is worth {totals.rate_bps / MB:.0f} MB"
    )
    yield "all is well"


def _counted(what: "Counter[str]") -> str:
    return ", ".join(f"{name} {count}" for name, count in what.most_common())
