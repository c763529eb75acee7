"""Follows and unfollows references, as users type them. A new one is checked at once."""

import random
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flowhub_jobs.catalogs.resolve import is_address
from flowhub_jobs.errors import FlowhubError, NotFound, UsageInvalid
from flowhub_jobs.huggingface.reference_parser import parse_hub_ref, parse_owner
from flowhub_jobs.jobs.enqueue_rows import Enqueued
from flowhub_jobs.jobs.subscriptions.check_times import HOUR_US, minute_of
from flowhub_jobs.jobs.subscriptions.subscription_queries import SubscriptionQueries
from flowhub_jobs.jobs.subscriptions.subscription_rows import SubscriptionRows
from flowhub_jobs.jobs.subscriptions.subscription_values import DAY_US, Subscription, SubscriptionKind, Terms
from flowhub_jobs.operations.session import Session
from flowhub_jobs.operations.subscriptions.check_list_file import ReadList
from flowhub_jobs.operations.subscriptions.check_model import refuse_address
from flowhub_jobs.operations.subscriptions.checker import check_source, write_result
from flowhub_jobs.placement.apps import program_names
from flowhub_jobs.times import micros, parse_span, parse_time
from flowhub_jobs.values.pasted_text import unquoted

EVERY_MIN_S, EVERY_MAX_S = 900, 366 * 86_400
KEEP_MAX = 1000
_OWNER_HINT = "`flowhub follow hf:owner/ --include '*-GGUF:Q4_K_M'`; --include '*' means all of its repositories."


@dataclass(frozen=True, slots=True)
class Followed:
    """A subscription after its first check, and the jobs that the check queued."""

    subscription: Subscription
    jobs: Sequence[Enqueued] = field(default=())


@dataclass(frozen=True, slots=True)
class _FollowedRef:
    kind: SubscriptionKind
    ref: str


def all_subscriptions(session: Session) -> list[Subscription]:
    """Return all subscriptions of this node, the oldest first."""
    return _queries(session).all()


def changed_terms(options: Mapping[str, Any], now: int) -> dict[str, Any]:
    """Return the fields of `Terms` that these options set; one that is None sets nothing. Raises UsageInvalid.

    `options` has every, at, include, keep, place as typed.
    """
    fields: dict[str, Any] = {}
    if options.get("every") is not None:
        fields["every_us"] = _interval_s(options["every"])
    if options.get("at") is not None:
        local = datetime.fromtimestamp(now / 1e6, UTC).astimezone()
        fields["at_minute"] = minute_of(micros(parse_time(options["at"], local)))
    if options.get("keep") is not None:
        if not 0 <= options["keep"] <= KEEP_MAX:
            raise UsageInvalid(f"--keep takes 0 to {KEEP_MAX:,} versions.")
        fields["keep"] = options["keep"]
    if options.get("include"):
        fields["include"] = tuple(options["include"])
    if options.get("place"):
        fields["place"] = program_names(options["place"])
    return fields


def _interval_s(text: str) -> int:
    seconds = parse_span(text)
    if not EVERY_MIN_S <= seconds <= EVERY_MAX_S:
        raise UsageInvalid(f"--every takes 15m to 366d, not {text!r}.", hint="Write 12h, 1d or 7d.")
    return round(seconds * 1e6)


def follow(
    session: Session, refs: Sequence[str], file: str | None, options: Mapping[str, Any], read_list: ReadList
) -> list[Followed]:
    """Follow these references, or a list file; return each after its first check.

    A reference that is followed already gets the options that are given. Raises what is wrong with a reference: the
    ones before it are followed. A source that does not answer now is asked again by a worker.
    """
    fields = changed_terms(options, session.now_us())
    subscriptions = {one.ref: one for one in all_subscriptions(session)}
    if file is not None:
        path = Path(file).expanduser().absolute()
        return [_follow(session, _FollowedRef(SubscriptionKind.LIST, str(path)), fields, subscriptions, read_list)]
    return [_follow(session, _parse(session, unquoted(ref), fields), fields, subscriptions, read_list) for ref in refs]


def _parse(session: Session, text: str, fields: Mapping[str, Any]) -> _FollowedRef:
    """Return the stored form of a reference: with the quant that is chosen now."""
    if owner := parse_owner(text):
        return _FollowedRef(SubscriptionKind.OWNER, f"hf:{owner}/")
    hub_ref = parse_hub_ref(text, session.settings.hf_endpoint)
    if hub_ref is None and is_address(text):
        raise refuse_address(text)
    include = fields.get("include", ())
    try:
        return _FollowedRef(SubscriptionKind.REFERENCE, session.artifact(text, include=include).ref)
    except FlowhubError as error:
        if hub_ref is None or not error.retryable:
            raise
        globs = (*hub_ref.include, *include)
        return _FollowedRef(SubscriptionKind.REFERENCE, replace(hub_ref, include=globs).text)


def _follow(
    session: Session,
    meaning: _FollowedRef,
    fields: Mapping[str, Any],
    subscriptions: Mapping[str, Subscription],
    read_list: ReadList,
) -> Followed:
    before = subscriptions.get(meaning.ref)
    terms = replace(before.terms if before else Terms(), **_own_fields(meaning.kind, fields))
    _check_terms(meaning, terms)
    rows = SubscriptionRows(session.home.engine, session.node, session.home.clock)
    # An hour: no worker repeats this command's check, but if the command is killed, a worker makes it later.
    rows.add(meaning.kind, meaning.ref, terms, session.now_us() + HOUR_US)
    subscription = _read(session, meaning.ref)
    items = _queries(session).items(subscription.id)
    checked = check_source(session, subscription, items, read_list, pause_s=0.0, stopping=threading.Event())
    if checked.error is not None and not checked.error.retryable and before is None:
        rows.remove([subscription.id])
        raise checked.error
    answers = write_result(session, subscription, items, checked, random.random())  # noqa: S311 - jitter
    return Followed(_read(session, meaning.ref), answers)


def _own_fields(kind: SubscriptionKind, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields without the globs of a repository: its reference has them."""
    return {
        name: value for name, value in fields.items() if name != "include" or kind is not SubscriptionKind.REFERENCE
    }


def _check_terms(meaning: _FollowedRef, terms: Terms) -> None:
    if meaning.kind is SubscriptionKind.OWNER and not terms.include:
        raise UsageInvalid(f"{meaning.ref} is all models of an owner: say which with --include.", hint=_OWNER_HINT)
    if meaning.kind is SubscriptionKind.LIST and terms.include:
        raise UsageInvalid("--include does not go with -f.", hint="Write it in the list, after its reference.")
    if terms.at_minute is not None and terms.every_us < DAY_US:
        raise UsageInvalid("--at is a time of day: it needs --every of a day or more.", hint="Leave one of them out.")


# Unfollow ------------------------------------------------------------------------------------------------------------


def unfollow(session: Session, refs: Sequence[str] | None) -> list[Subscription]:
    """Unfollow these references, or all for None; return the subscriptions that were removed. Raises NotFound."""
    subscriptions = all_subscriptions(session)
    chosen = (
        subscriptions
        if refs is None
        else [item for ref in refs for item in _matching_subscriptions(session, ref, subscriptions)]
    )
    removed = list({item.id: item for item in chosen}.values())
    if removed:
        rows = SubscriptionRows(session.home.engine, session.node, session.home.clock)
        rows.remove([item.id for item in removed])
    return removed


def _matching_subscriptions(session: Session, text: str, subscriptions: Sequence[Subscription]) -> list[Subscription]:
    """Return the subscriptions that a text means: by their reference, else all of a model or repository."""
    text = unquoted(text).strip()
    path = str(Path(text).expanduser().absolute())
    by_ref = [
        one for one in subscriptions if one.ref in (text, path) or one.ref.lower() == _normalize_ref(session, text)
    ]
    matching = by_ref or [one for one in subscriptions if _is_choice_of(one.ref, _normalize_ref(session, text))]
    if not matching:
        raise NotFound(f"{text[:200]!r} is not followed.", hint="`flowhub follow --list` shows what is.")
    return matching


def _normalize_ref(session: Session, text: str) -> str:
    """Return a reference in one spelling, in lower case."""
    if owner := parse_owner(text):
        return f"hf:{owner}/".lower()
    hub_ref = parse_hub_ref(text, session.settings.hf_endpoint)
    return (hub_ref.text if hub_ref else text.replace(":", "@")).lower()


def _is_choice_of(ref: str, repo_or_model: str) -> bool:
    """Return whether a reference is an option of this model, or a choice of this repository's files."""
    return ref.lower().startswith(
        (f"{repo_or_model}@", f"{repo_or_model}:", f"{repo_or_model}/", f"{repo_or_model},")
    ) and not repo_or_model.endswith("/")


def _queries(session: Session) -> SubscriptionQueries:
    return SubscriptionQueries(session.home.database, session.node)


def _read(session: Session, ref: str) -> Subscription:
    return next(one for one in all_subscriptions(session) if one.ref == ref)
