"""What a campaign came to, in a short table."""

import time
from collections import Counter
from collections.abc import Iterator

from chaos_parts.evidence import Evidence

MB = 1e6


def table(evidence: Evidence) -> Iterator[str]:
    campaign, whole = evidence.campaign, evidence.bytes()
    states = Counter(str(job.state) for job in evidence.jobs)
    peak = max(campaign.line.tally.per_second.values(), default=0)
    yield ""
    yield f"rounds    {campaign.done.total()} in {time.monotonic() - campaign.began:.0f} s: {_counted(campaign.done)}"
    yield f"disk      {'of its own, filled and freed' if campaign.ground.is_real else 'writing was refused inside'}"
    yield f"workers   {len(campaign.hands.all)}"
    yield f"jobs      {len(evidence.jobs)}: {_counted(states)}"
    yield f"attempts  {len(evidence.attempts)}: {_counted(evidence.outcomes)}"
    yield (
        f"sent      {whole.sent / MB:.1f} MB in {len(evidence.asked)} requests, at most {peak / MB:.1f} MB in a second;"
        f" to fetch were {whole.to_fetch / MB:.1f} MB"
    )
    yield f"again     {whole.again / MB:.1f} MB, for {sum(map(evidence.turned, campaign.wares))} bytes that came wrong"
    each = whole.lost / max(1, whole.strokes)
    yield (
        f"lost      {whole.lost / MB:.2f} MB: {each / MB:.2f} MB for each of {whole.strokes} kills, suspensions and"
        f" leases lost by delay ({evidence.lost_leases}); a second is worth {whole.rate_bps / MB:.0f} MB"
    )
    yield "all is well"


def _counted(what: "Counter[str]") -> str:
    return ", ".join(f"{name} {count}" for name, count in what.most_common())
