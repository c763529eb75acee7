"""The names that a person may have meant."""

import re
from collections.abc import Iterable
from difflib import get_close_matches


def nearest(word: str, names: dict[str, str] | Iterable[str], limit: int = 5) -> list[str]:
    """Return at most `limit` of the `names` that look most like `word`, the likeliest first.

    `names` is what may be typed; as a dict, each also has a title under which a person may know it.
    Names that contain the word come after those that resemble it: "qwen" resembles no id, but is in many. Dots, hyphens
    and spaces do not count there: "llama3.2:3b" is in llama-3-2-3b-instruct.
    """
    titles = names if isinstance(names, dict) else {name: name for name in names}
    known = {name.lower(): name for name in titles} | {title.lower(): name for name, title in titles.items()}
    wanted = word.strip().lower()
    close = [known[key] for key in get_close_matches(wanted, known, n=2 * limit, cutoff=0.6)]
    bare = _bare(wanted)
    within = [known[key] for key in sorted(known, key=len) if bare and bare in _bare(key)]
    return list(dict.fromkeys([*close, *within]))[:limit]


def with_all_words(start: str, word: str, names: Iterable[str], limit: int = 5) -> list[str]:
    """Return the names that have `start` in them and `word` as a part of their own, those that begin with it first.

    "qwen2.5" and "7b" are both in qwen2-5-7b-instruct.
    """
    bare, part = _bare(start.lower()), _bare(word.lower())
    found = [name for name in names if bare in _bare(name) and part in map(_bare, re.split(r"[-_@ ]", name))]
    return sorted(found, key=lambda name: (not _bare(name).startswith(bare), len(name)))[:limit]


def _bare(text: str) -> str:
    return "".join(character for character in text if character.isalnum())
