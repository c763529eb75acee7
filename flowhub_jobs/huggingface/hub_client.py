"""Client of the Hub's API: information on a repository, and the list of its files. Retries while the Hub is busy.

Shapes and headers: huggingface_hub, `hf_api` and `utils/_http`.
"""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urljoin

from flowhub_jobs.errors import (
    NETWORK_SETTINGS,
    AddressRefused,
    AnswerMalformed,
    ConnectionLost,
    FlowhubError,
    Gated,
    HeadersTimeout,
    NetworkDown,
    NotFound,
    ServerBusy,
    SourceError,
    SourceMissing,
    SourceRefused,
    TokenMissing,
    TooLarge,
    WaitTooLong,
    WrongContent,
)
from flowhub_jobs.huggingface.repository_urls import api_url, owner_url, page_url
from flowhub_jobs.huggingface.responses import OwnedModel, RepoFile, RepoInfo, read_info, read_models, read_tree
from flowhub_jobs.net import get
from flowhub_jobs.net.get import Document
from flowhub_jobs.net.status_errors import status_error
from flowhub_jobs.net.token_choice import token_for
from flowhub_jobs.net.urls import HUB, at_endpoint, host_of, origin
from flowhub_jobs.units import format_duration
from flowhub_jobs.values.enums import RepoKind

FILES_MAX = 50_000
PAGES_MAX = 1_000
PAGE_BYTES = 64_000_000
TRIES = 4
PAUSE_S = 0.5  # before the second try; doubled each time
SILENT_S = 3.0  # a longer wait is reported to the user
WAIT_MAX_S = 60.0  # in all, for a busy Hub, while a person waits at a terminal

LINK_MAX = 8192  # characters of a Link header
_LINK = re.compile(r"<([^<>]*)>([^<>]*)")  # an address, which may hold commas, and its parameters
_IS_NEXT = re.compile(r';[^,]*\brel="?next"?')
_DISABLED = re.compile(r"\bdisabled\b", re.IGNORECASE)
_AGAIN = "Check the network, or try again later."
_NO_LEAVE = {
    TokenMissing: "Check its name. If it is private, set HF_TOKEN to a token of an account that may read it.",
    Gated: "Accept its terms at {page}, set HF_TOKEN, then try again.",
}


@dataclass(slots=True)
class HubClient:
    """Client of the Hub at `endpoint`. `tokens` maps an origin to its token. Answers are cached in the object.

    `on_wait` gets a sentence about each wait that is longer than 3 s.
    """

    endpoint: str = HUB
    tokens: Mapping[str, str] = field(default_factory=dict, repr=False)
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)
    on_wait: Callable[[str], None] = field(default=lambda text: None, repr=False)
    wait_max_s: float = WAIT_MAX_S
    _infos: dict[tuple[RepoKind, str, str], RepoInfo] = field(default_factory=dict, repr=False)
    _away: SourceError | None = field(default=None, repr=False)  # the error after which it is not asked again
    _trees: dict[tuple[RepoKind, str, str], list[RepoFile]] = field(default_factory=dict, repr=False)

    def info(self, repo: str, revision: str = "main", kind: RepoKind = RepoKind.MODEL) -> RepoInfo:
        """Return information on the repository, and the commit that the revision names now.

        Raises NotFound, TokenMissing, TokenRefused, Gated, SourceError.
        """
        key = kind, repo, revision
        if key not in self._infos:
            title = _title(repo, kind) if revision == "main" else f"{_title(repo, kind)} at {revision}"
            url = f"{api_url(repo, kind)}/revision/{quote(revision, safe='')}"
            answer = self._get(url, title, page_url(repo, kind))
            info = read_info(_json(answer), repo, kind)
            if info is None:
                raise WrongContent(
                    f"{host_of(answer.url)} did not return a commit for {title}; it is not a Hub-compatible API."
                )
            if info.disabled:
                raise _disabled(title)
            self._infos[key] = info
        return self._infos[key]

    def tree(self, repo: str, commit: str, kind: RepoKind = RepoKind.MODEL) -> list[RepoFile]:
        """Return all files of a commit. Raises TooLarge beyond 50,000 of them, and what `info` raises."""
        if (kind, repo, commit) not in self._trees:
            self._trees[kind, repo, commit] = self._list_files(repo, commit, kind)
        return self._trees[kind, repo, commit]

    def models_of(self, owner: str) -> list[OwnedModel]:
        """Return all model repositories of an owner with the names of their files, the last changed first.

        Raises TooLarge beyond 50,000 of them, and what `info` raises. An owner that does not exist has none.
        """
        title = f"list of the models of {owner}"
        models: list[OwnedModel] = []
        for answer in self._pages(owner_url(owner), title, f"{HUB}/{owner}"):
            page = read_models(_json(answer), owner)
            if page is None:
                raise WrongContent(f"{host_of(answer.url)} did not return the {title}.")
            models += page
            if len(models) > FILES_MAX:
                raise TooLarge(f"{owner} has more than {FILES_MAX:,} models.", hint="Follow them by name.")
        return models

    def _list_files(self, repo: str, commit: str, kind: RepoKind) -> list[RepoFile]:
        title = _title(repo, kind)
        url = f"{api_url(repo, kind)}/tree/{commit}?recursive=true&expand=false"
        files: list[RepoFile] = []
        for answer in self._pages(url, f"files of the {title}", page_url(repo, kind)):
            page = read_tree(_json(answer))
            if page is None:
                raise WrongContent(f"{host_of(answer.url)} did not return the list of files of {title}.")
            files += page
            if len(files) > FILES_MAX:
                hint = "Give the URL of one file: https://huggingface.co/owner/repo/resolve/main/path/of/a.file."
                raise TooLarge(f"The {title} holds more than {FILES_MAX:,} files.", hint=hint)
        return list(dict.fromkeys(files))  # pages of a mirror may overlap

    def _pages(self, url: str, title: str, page: str) -> Iterator[Document]:
        """Yield each page of a list, by their `Link` headers. Raises TooLarge for pages that follow each other."""
        visited: set[str] = set()
        following: str | None = url
        while following is not None:
            if following in visited or len(visited) == PAGES_MAX:
                why = (
                    "in a circle: a page follows itself"
                    if following in visited
                    else f"on more than {PAGES_MAX:,} pages"
                )
                raise TooLarge(f"{host_of(url)} lists the {title} {why}.")
            visited.add(following)
            answer = self._get(following, title, page)
            yield answer
            following = self._next_page(answer)

    def _next_page(self, answer: Document) -> str | None:
        """Return the address of the next page (RFC 8288). Only the host of the first page is asked."""
        target = _following(answer)
        if target is None:
            return None
        try:
            following = urljoin(answer.url, target)  # it may be relative (RFC 8288, section 3.1)
            stays = origin(at_endpoint(following, self.endpoint)) == origin(self.endpoint)
        except (AddressRefused, ValueError):  # urljoin reads no broken brackets
            stays = False
        if not stays:
            raise SourceRefused(
                f"{host_of(answer.url)} continues its list on another host; flowhub does not follow it."
            )
        return following

    # One request ----------------------------------------------------------------------------------------------------

    def _get(self, url: str, title: str, page: str) -> Document:
        """Return the answer of status 200. A busy Hub is asked again; one that cannot be reached only once."""
        if self._away is not None:
            raise self._away
        waited = 0.0
        for number in range(1, TRIES + 1):
            try:
                return self._get_once(url, title, page)
            except NetworkDown as error:
                self._away = error
                raise
            except (ServerBusy, ConnectionLost, AnswerMalformed, HeadersTimeout) as error:
                pause = getattr(error, "wait_s", None)
                pause = PAUSE_S * 2 ** (number - 1) if pause is None else pause
                if waited + pause > self.wait_max_s:
                    raise _too_long(url, self.endpoint, pause) from error
                if number == TRIES:
                    self._away = error
                    raise
                if pause > SILENT_S:
                    self.on_wait(f"{error.message} flowhub tries again in {format_duration(pause)}.")
                self.sleep(pause)
                waited += pause
        raise AssertionError("unreachable")

    def _get_once(self, url: str, title: str, page: str) -> Document:
        try:
            answer = get.get(url, max_bytes=PAGE_BYTES, tokens=self.tokens, endpoint=self.endpoint)
        except SourceError as error:
            if error.retryable and not isinstance(error, NETWORK_SETTINGS):
                error.hint = _AGAIN
            raise
        if answer.status == 200:
            return answer
        raise self._error_for(answer, title, page)

    def _error_for(self, answer: Document, title: str, page: str) -> FlowhubError:
        text = answer.headers.get("x-error-message", "")
        if answer.status == 403 and _DISABLED.search(text):
            return _disabled(title)
        error = status_error(
            answer.status,
            answer.headers,
            host=host_of(answer.url),
            fresh=True,
            home=True,
            had_token=token_for(answer.url, self.tokens) is not None,
            now=datetime.now(UTC),
            secrets=self.tokens.values(),
        )
        if isinstance(error, SourceMissing):
            missing = {"RevisionNotFound": f"no such revision of the {title}"}
            not_there = missing.get(answer.headers.get("x-error-code", ""), f"no {title}")
            return NotFound(f"{host_of(answer.url)} has {not_there}.", hint="Check the spelling at the Hub.")
        if isinstance(error, ServerBusy):
            error.hint = _AGAIN
        error.hint = _NO_LEAVE.get(type(error), error.hint or "").format(page=page) or None
        error.text = f"The {title} cannot be read: {error.text}"
        return error


def _title(repo: str, kind: RepoKind) -> str:
    return f"repository {repo}" if kind is RepoKind.MODEL else f"data set {repo}"


def _following(answer: Document) -> str | None:
    """Return the next page's address in the Link header. Raises SourceRefused for a header of absurd length."""
    links = answer.headers.get("link", "")
    if len(links) > LINK_MAX:
        raise SourceRefused(f"{host_of(answer.url)} answers with a Link header of {len(links):,} characters: not read.")
    return next((url for url, parameters in _LINK.findall(links) if _IS_NEXT.match(parameters.lstrip())), None)


def _json(answer: Document) -> Any:
    host = host_of(answer.url)
    if answer.body.lstrip()[:1] == b"<":
        hint = "A proxy or a sign-in page answers in the Hub's place, or HF_ENDPOINT is not one."
        raise WrongContent(f"{host} answers with a web page where the Hub's JSON should be.", hint=hint)
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        raise WrongContent(f"{host} answers with something that is not JSON.", hint=_AGAIN) from error


def _disabled(title: str) -> SourceRefused:
    return SourceRefused(f"The Hub has disabled the {title}.", hint="Its page at the Hub may give the reason.")


def _too_long(url: str, endpoint: str, seconds: float) -> WaitTooLong:
    host = host_of(at_endpoint(url, endpoint))
    return WaitTooLong(
        f"{host} is busy and asks clients to wait {format_duration(seconds)}.",
        hint="Try again after that time.",
    )
