"""The names that a person may have meant."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(word: str, names: dict[str, str] | Iterable[str], limit: int = 5) -> list[str]:
    """Return at most `limit` of the `names` that look most like `word`, the likeliest first.

    `names` is what may be typed; as a dict, each also has a title under which a person may know it.
    Names that contain the word come after those that resemble it: "qwen" resembles no id, but is in many.
    """
    titles = names if isinstance(names, dict) else {name: name for name in names}
    known = {name.lower(): name for name in titles} | {title.lower(): name for name, title in titles.items()}
    wanted = word.strip().lower()
    close = [known[key] for key in get_close_matches(wanted, known, n=2 * limit, cutoff=0.6)]
    within = [known[key] for key in sorted(known, key=len) if wanted and wanted in key]
    return list(dict.fromkeys([*close, *within]))[:limit]
