"""The cases in which programs fetch the same thing in turn."""

from dataclasses import replace

from bench_parts import rivals
from bench_parts.course import Course
from bench_parts.figures import GIB, LEVEL, MIB, Claim, Result, Row, at_least, level_with_best, row_of, size_in_words
from bench_parts.lines import HubFront, slow_line
from bench_parts.machine import filesystem_of
from bench_parts.rivals import Errand

CPU_AIM = 1.3
GOOD_AT_DIRECT = ("ext4", "xfs")
PLAIN_AIMS = {"limit": 0.85, "aria2c": 4.0, "hf": 3.5, "curl": 1.8}
SLOW_EDGES, CROWD = ("--slow-edges", "0.5M"), ("--crowd", "6")
TLS_AIMS = {"limit": 0.85, "aria2c": 3.0, "curl": 1.1}


def plain(course: Course) -> Result:
    """One file over http: fetched, digest verified, durable, named."""
    errand = course.errand(course.nginx.plain, course.size)
    with HubFront(errand.base, errand.one) as hub:
        rows = course.track.race(errand, _all(course, replace(errand, hf=course.hf, hub=hub.address)))
    return Result(rows, _called(rows), _claims(f"{size_in_words(course.size)}, plain", rows, PLAIN_AIMS))


def tls(course: Course) -> Result:
    """The same over TLS, with a certificate that each program is told to trust."""
    errand = course.errand(course.nginx.tls, course.size, ca=course.nginx.ca)
    rows = course.track.race(errand, _all(course, errand))
    return Result(rows, _called(rows), _claims(f"{size_in_words(course.size)}, TLS", rows, TLS_AIMS))


def slow_connections(course: Course) -> Result:
    """An origin that gives each connection 20 MB/s; flowhub is not told how many to use."""
    return _over_line(course, "20 MB/s a connection", course.scaled(GIB), "20M", 0.0)


def far(course: Course) -> Result:
    """An origin that is 80 ms away, with 8 MB/s a connection."""
    return _over_line(course, "80 ms away, 8 MB/s a connection", course.scaled(512 * MIB), "8M", 0.08)


def slow_edges(course: Course) -> Result:
    """An origin of which two of three connections are slow as long as they live: 0.5 and 4 MB/s."""
    return _over_line(course, "two of three connections slow", course.scaled(512 * MIB), "4M", 0.0, SLOW_EDGES)


def crowd(course: Course) -> Result:
    """An origin that gives 4 MB/s a connection, and 30 kB/s for a minute after more than six at once."""
    return _over_line(course, "more than six crawl", course.scaled(512 * MIB), "4M", 0.0, CROWD, connections=4)


def _over_line(
    course: Course,
    work: str,
    size: int,
    rate: str,
    rtt_s: float,
    habits: tuple[str, ...] = (),
    connections: int = 16,
) -> Result:
    """Race over a line; `connections` are aria2c's, which cannot find their number."""
    with slow_line(course.nginx.plain_port, rate, rtt_s, habits) as base:
        errand = course.errand(base, size)
        runners = {
            "flowhub": rivals.flowhub(errand),
            "aria2c": rivals.aria2c(errand, connections=connections)[:1],
            "curl": rivals.curl_then_openssl(errand),
        }
        rows = course.track.race(errand, runners)
    claim = level_with_best(work, rows, f"{LEVEL} x the best rival's speed")
    return Result(rows, _called(rows), (claim,))


def small_files(course: Course) -> Result:
    """Many files of 256 KiB as one artifact, each with its digest."""
    files = tuple(course.shelf.many(course.small_files))
    errand = course.errand_for(course.nginx.plain, files)
    rows = course.track.race(errand, {"flowhub": rivals.flowhub(errand), "aria2c": rivals.aria2c_many(errand, 16)})
    claim = level_with_best(f"{len(files)} files of 256 KiB", rows, f"{LEVEL} x the speed of aria2c")
    return Result(rows, _called(rows), (claim,))


def _all(course: Course, errand: Errand) -> dict[str, list[rivals.Way]]:
    return {
        "flowhub": rivals.flowhub(errand),
        "limit": rivals.limit(errand),
        "direct": rivals.limit_direct(errand) if filesystem_of(course.folder) in GOOD_AT_DIRECT else [],
        "digest": rivals.digest(errand),
        "aria2c": rivals.aria2c(errand, connections=4),
        "curl": rivals.curl_then_openssl(errand),
        "wget": rivals.wget(errand),
        "hf": rivals.hf_download(errand),
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
