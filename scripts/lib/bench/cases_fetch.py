"""The cases in which programs fetch the same thing in turn."""

from dataclasses import replace

from lib.bench import competitors
from lib.bench.competitors import FetchSpec
from lib.bench.context import Context
from lib.bench.figures import GIB, LEVEL, MIB, Claim, Result, Row, at_least, level_with_best, row_of, size_in_words
from lib.bench.machine import filesystem_of
from lib.bench.networks import HubFront, slow_line

CPU_AIM = 1.3
GOOD_AT_DIRECT = ("ext4", "xfs")
PLAIN_AIMS = {"limit": 0.85, "aria2c": 4.0, "hf": 3.5, "curl": 1.8}
SLOW_EDGES, CROWD = ("--slow-edges", "0.5M"), ("--crowd", "6")
TLS_AIMS = {"limit": 0.85, "aria2c": 3.0, "curl": 1.1}


def plain(context: Context) -> Result:
    """One file over http: fetched, digest verified, durable, named."""
    spec = context.spec(context.nginx.plain, context.size)
    with HubFront(spec.base, spec.one) as hub:
        rows = context.runner.compare(spec, _all(context, replace(spec, hf=context.hf, hub=hub.address)))
    return Result(rows, _called(rows), _claims(f"{size_in_words(context.size)}, plain", rows, PLAIN_AIMS))


def tls(context: Context) -> Result:
    """The same over TLS, with a certificate that each program trusts."""
    spec = context.spec(context.nginx.tls, context.size, ca=context.nginx.ca)
    rows = context.runner.compare(spec, _all(context, spec))
    return Result(rows, _called(rows), _claims(f"{size_in_words(context.size)}, TLS", rows, TLS_AIMS))


def slow_connections(context: Context) -> Result:
    """An origin that gives each connection 20 MB/s; flowhub gets no number of connections."""
    return _over_line(context, "20 MB/s a connection", context.scaled(GIB), "20M", 0.0)


def far(context: Context) -> Result:
    """An origin that is 80 ms away, with 8 MB/s per connection."""
    return _over_line(context, "80 ms away, 8 MB/s a connection", context.scaled(512 * MIB), "8M", 0.08)


def slow_edges(context: Context) -> Result:
    """An origin that keeps two of three connections slow: 0.5 instead of 4 MB/s."""
    return _over_line(context, "two of three connections slow", context.scaled(512 * MIB), "4M", 0.0, SLOW_EDGES)


def crowd(context: Context) -> Result:
    """An origin with 4 MB/s per connection, but 30 kB/s for a minute after more than six at once."""
    return _over_line(context, "more than six crawl", context.scaled(512 * MIB), "4M", 0.0, CROWD, connections=4)


def _over_line(
    context: Context,
    work: str,
    size: int,
    rate: str,
    rtt_s: float,
    habits: tuple[str, ...] = (),
    connections: int = 16,
) -> Result:
    """Race over a line; `connections` is aria2c's number, which it cannot choose itself."""
    with slow_line(context.nginx.plain_port, rate, rtt_s, habits) as base:
        spec = context.spec(base, size)
        runners = {
            "flowhub": competitors.flowhub(spec),
            "aria2c": competitors.aria2c(spec, connections=connections)[:1],
            "curl": competitors.curl_then_openssl(spec),
        }
        rows = context.runner.compare(spec, runners)
    claim = level_with_best(work, rows, f"{LEVEL} x the best competitor's speed")
    return Result(rows, _called(rows), (claim,))


def small_files(context: Context) -> Result:
    """Many files of 256 KiB as one artifact, each with its digest."""
    files = tuple(context.files.many(context.small_files))
    spec = context.spec_for(context.nginx.plain, files)
    rows = context.runner.compare(
        spec, {"flowhub": competitors.flowhub(spec), "aria2c": competitors.aria2c_many(spec, 16)}
    )
    claim = level_with_best(f"{len(files)} files of 256 KiB", rows, f"{LEVEL} x the speed of aria2c")
    return Result(rows, _called(rows), (claim,))


def _all(context: Context, spec: FetchSpec) -> dict[str, list[competitors.Method]]:
    return {
        "flowhub": competitors.flowhub(spec),
        "limit": competitors.limit(spec),
        "direct": competitors.limit_direct(spec) if filesystem_of(context.folder) in GOOD_AT_DIRECT else [],
        "digest": competitors.digest(spec),
        "aria2c": competitors.aria2c(spec, connections=4),
        "curl": competitors.curl_then_openssl(spec),
        "wget": competitors.wget(spec),
        "hf": competitors.hf_download(spec),
    }


def _called(rows: tuple[Row, ...]) -> tuple[str, ...]:
    return tuple(f"{row.who}: {row.what}" for row in rows)


def _claims(work: str, rows: tuple[Row, ...], aims: dict[str, float]) -> tuple[Claim, ...]:
    speed = [at_least(work, rows, whom, aim, f"{aim:g} x the speed of {whom}") for whom, aim in aims.items()]
    return (*speed, _cpu_claim(work, rows))


def _cpu_claim(work: str, rows: tuple[Row, ...]) -> Claim:
    us, limit = row_of(rows, "flowhub"), row_of(rows, "limit")
    assert us is not None, "flowhub runs in every case"
    assert limit is not None, "and so does the limit"
    ratio = us.cpu_s / limit.cpu_s
    reached = f"{ratio:.2f} x ({us.cpu_per_gib:.2f} s a GiB)"
    return Claim(f"CPU a GiB: {work}", f"at most {CPU_AIM} x the limit's", reached, ratio <= CPU_AIM)
