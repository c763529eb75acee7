"""What is left to see when it is over: the rows, the requests as the origin saw them, and the bytes."""

import time
from collections import Counter
from dataclasses import dataclass

from chaos_parts.campaign import Campaign
from chaos_parts.hands import rows
from chaos_parts.line import who
from chaos_parts.wares import Ware
from support.engine import kept_in

from flowhub_jobs.pieces.ranges import MIB
from flowhub_jobs.values.enums import State
from flowhub_jobs.values.jobs import Job

WORTH_AT_MOST = 64 * MIB  # of a stroke: what is unsynced never exceeds it
IN_FLIGHT = MIB  # what an origin has sent and nobody kept when all connections of a worker are cut
AT_THE_END = MIB // 4  # the same of one, as when the idle take from the slow
CUTS = ("handed_back", "paused", "cancelled", "waits", "failed")  # outcomes of attempts


@dataclass(frozen=True)
class Attempt:
    """A row of `attempts`; times in seconds since 1970."""

    job: int
    worker: str
    token: str
    began: float
    ended: float | None
    outcome: str | None


@dataclass(frozen=True)
class Asked:
    """A request as the origin saw it: by which worker, for which model, when (seconds since 1970)."""

    token: str
    model: str
    at: float


@dataclass(frozen=True)
class Bytes:
    """What the origin sent, what the jobs say came and was kept, what was to be fetched; and what may be lost."""

    sent: int
    counted: int
    to_fetch: int
    strokes: int
    cuts: int
    ends: int
    rate_bps: int

    @property
    def lost(self) -> int:
        """What was sent and never kept."""
        return self.sent - self.counted

    @property
    def again(self) -> int:
        """What was kept and fetched again all the same, as are bytes that came wrong."""
        return self.counted - self.to_fetch

    @property
    def may_be_lost(self) -> int:
        return self.strokes * min(WORTH_AT_MOST, self.rate_bps) + self.cuts * IN_FLIGHT + self.ends * AT_THE_END


class Evidence:
    def __init__(self, campaign: Campaign) -> None:
        self.campaign = campaign
        self.home = campaign.shop.settings.home
        self.jobs: list[Job] = campaign.jobs()
        self.attempts = [
            Attempt(job, worker, token, began / 1e6, ended / 1e6 if ended else None, outcome)
            for job, worker, token, began, ended, outcome in rows(
                self.home, "SELECT job_id, worker, token, started_at, finished_at, outcome FROM attempts ORDER BY id"
            )
        ]
        self.said_no_at = campaign.said_no_at
        calendar = time.time() - time.monotonic()
        line = campaign.line
        self.asked = [Asked(who(one), one.path.split("/")[1], one.at + calendar) for one in line.requests()]
        again = rows(self.home, "SELECT job_id FROM events WHERE kind IN ('cancelled', 'retried')")
        self.ever_cancelled = {job for (job,) in again} | {job.id for job in self.jobs if job.state is State.CANCELLED}
        self.let_go = {hand.token: [at + calendar for at in hand.let_go] for hand in campaign.hands.all}
        self.names = {hand.token: hand.name for hand in campaign.hands.all}

    @property
    def outcomes(self) -> Counter[str]:
        return Counter(str(attempt.outcome) for attempt in self.attempts)

    def jobs_of(self, ware: Ware) -> list[Job]:
        return [job for job in self.jobs if job.model == ware.model]

    def was_ever_cancelled(self, ware: Ware) -> bool:
        return any(job.id in self.ever_cancelled for job in self.jobs_of(ware))

    def is_installed(self, ware: Ware) -> bool:
        return any(job.state is State.COMPLETED for job in self.jobs_of(ware))

    def sent(self, ware: Ware) -> int:
        return sum(self.campaign.line.sent(path) for path in ware.paths)

    def turned(self, ware: Ware) -> int:
        """Return how many bytes of it came wrong."""
        return sum(map(self.campaign.line.turned, ware.paths))

    def kept(self, ware: Ware) -> int:
        """Return what lies in the partial, by the journal's word."""
        return kept_in(self.campaign.shop.partial(ware.model))

    def to_fetch(self, ware: Ware) -> int:
        """Return what had to be sent: the whole for each completed job, what lies in the partial, what was purged."""
        jobs, refused = self.jobs_of(ware), self.campaign.refused
        completed = sum(job.state is State.COMPLETED for job in jobs)
        purged = sum(job.bytes_fetched for job in jobs if job.state is State.CANCELLED and refused[job.id] == "purge")
        return completed * ware.size + self.kept(ware) + purged

    @property
    def lost_leases(self) -> int:
        """How many attempts were taken from a worker that nobody had struck in them: it was too slow to renew."""
        calendar = time.time() - time.monotonic()
        struck = {hand.name: [at + calendar for at in hand.struck] for hand in self.campaign.hands.all}
        rescued = [attempt for attempt in self.attempts if attempt.outcome == "rescued"]
        return sum(
            not any(one.began - 1 <= at <= (one.ended or at) for at in struck.get(one.worker, [])) for one in rescued
        )

    def counted(self, ware: Ware) -> int:
        return sum(job.bytes_fetched for job in self.jobs_of(ware))

    def bytes(self) -> Bytes:
        campaign = self.campaign
        strokes = sum(len(hand.struck) for hand in campaign.hands.all) + self.lost_leases
        cuts = sum(self.outcomes[word] for word in CUTS) + 2 * (campaign.done["reset"] + campaign.done["down"])
        sent, counted, to_fetch = (sum(map(of, campaign.wares)) for of in (self.sent, self.counted, self.to_fetch))
        ends = self.outcomes["completed"]
        return Bytes(sent, counted, to_fetch, strokes, cuts, ends, int(campaign.line.rate_bps))
