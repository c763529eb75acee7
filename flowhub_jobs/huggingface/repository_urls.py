"""Addresses of a repository on the Hub: its page, its files, and its address in the Hub's API. Pure."""

from urllib.parse import quote

from flowhub_jobs.net.urls import HUB
from flowhub_jobs.values.enums import RepoKind

_API = {RepoKind.MODEL: "models", RepoKind.DATASET: "datasets"}


def page_url(repo: str, kind: RepoKind = RepoKind.MODEL) -> str:
    """Return the address of the repository's page."""
    return f"{HUB}/{repo}" if kind is RepoKind.MODEL else f"{HUB}/datasets/{repo}"


def file_url(repo: str, commit: str, path: str, kind: RepoKind = RepoKind.MODEL) -> str:
    """Return the address of a file's bytes at a commit."""
    return f"{page_url(repo, kind)}/resolve/{commit}/{quote(path)}"


def api_url(repo: str, kind: RepoKind = RepoKind.MODEL) -> str:
    """Return the address below which the Hub's API answers for a repository."""
    return f"{HUB}/api/{_API[kind]}/{repo}"


def owner_url(owner: str) -> str:
    """Return the address of the list of an owner's models, with the names of their files, the last changed first."""
    listed = "sort=lastModified&direction=-1&limit=500&expand[]=siblings&expand[]=disabled"
    return f"{HUB}/api/models?author={quote(owner, safe='')}&{listed}"
