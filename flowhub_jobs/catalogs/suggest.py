"""Suggestions for misspelt names and words."""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches


def nearest(word: str, names: dict[str, str] | Iterable[str], limit: int = 5) -> list[str]:
    """Return at most `limit` of the `names` that look most like `word`, the likeliest first.

    `names` are the valid names; as a dict, each also has a title.
    Names that contain the word come after those that resemble it: "qwen" resembles no id, but is in many. Dots, hyphens
    and spaces do not count there: "llama3.2:3b" is in llama-3-2-3b-instruct.
    """
    titles = names if isinstance(names, dict) else {name: name for name in names}
    by_folded_name = {name.lower(): name for name in titles} | {title.lower(): name for name, title in titles.items()}
    folded = word.strip().lower()
    close = [by_folded_name[key] for key in get_close_matches(folded, by_folded_name, n=2 * limit, cutoff=0.6)]
    bare = _bare(folded)
    within = [by_folded_name[key] for key in sorted(by_folded_name, key=len) if bare and bare in _bare(key)]
    return list(dict.fromkeys([*close, *within]))[:limit]


def with_all_words(start: str, word: str, names: Iterable[str], limit: int = 5) -> list[str]:
    """Return the names that have `start` in them and `word` as a part of their own, those that begin with it first.

    "qwen2.5" and "7b" are both in qwen2-5-7b-instruct.
    """
    bare, part = _bare(start.lower()), _bare(word.lower())
    matches = [name for name in names if bare in _bare(name) and part in map(_bare, re.split(r"[-_@ ]", name))]
    return sorted(matches, key=lambda name: (not _bare(name).startswith(bare), len(name)))[:limit]


def _bare(text: str) -> str:
    return "".join(character for character in text if character.isalnum())


SHORTEST = 3  # of a word of two letters, half of the alphabet is one typo away


def nearest_word(typed: str, models_by_word: Mapping[str, int]) -> str | None:
    """Return the word that is fewest typos away, then the one in most models; None if none is near.

    `models_by_word` counts the models that have a word. One typo is forgiven in words of up to five letters, two in
    longer ones; two letters that changed places are one. Where none is near, a word that contains the typed one counts.
    """
    if len(typed) < SHORTEST:
        return None
    allowed = 1 if len(typed) <= 5 else 2
    # A figure is no misspelling of another: `70b` is not `72b`.
    names = [
        word for word in models_by_word if abs(len(word) - len(typed)) <= allowed and word.isalpha() == typed.isalpha()
    ]
    near = [
        (distance, -models_by_word[word], word)
        for word in names
        if (distance := edit_distance(typed, word, allowed)) <= allowed
    ]
    if near and typed.isalpha():
        return min(near)[2]
    inside = [(-models_by_word[word], word) for word in models_by_word if typed in word]
    return min(inside)[1] if inside else None


def edit_distance(one: str, other: str, most: int) -> int:
    """Return how many letters must be put in, left out, changed, or swapped with the next; `most + 1` for any more.

    The restricted Damerau-Levenshtein distance (optimal string alignment).
    """
    if len(one) > len(other):
        one, other = other, one
    previous_row: list[int] = []
    row = list(range(len(one) + 1))
    for column, letter in enumerate(other, start=1):
        previous_row, last, row = row, previous_row, [column]
        for position, own_letter in enumerate(one, start=1):
            steps = min(
                previous_row[position] + 1, row[position - 1] + 1, previous_row[position - 1] + (own_letter != letter)
            )
            if position > 1 and column > 1 and own_letter == other[column - 2] and one[position - 2] == letter:
                steps = min(steps, last[position - 2] + 1)
            row.append(steps)
        if min(row) > most and min(previous_row) > most:
            return most + 1
    return min(row[-1], most + 1)
