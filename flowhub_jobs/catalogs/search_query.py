"""Search terms as folded words: case, accents, punctuation and the syntax of FTS5 have no meaning. Pure."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

TERMS_MAX = 16  # further terms are ignored: a query of thousands would take long
WORD_MAX = 64

_WORD = re.compile(r"[^\W_]+")
# `llama3`, `llama-3` and `Llama 3` are one; `7b` stays whole.
_LETTER_THEN_DIGIT = re.compile(r"(?<=[^\W\d_])(?=\d)")


def words(text: str) -> list[str]:
    """Return the words of a text, folded: "Qwen2.5-7B" is qwen, 2, 5, 7b. The index holds its texts in these, too."""
    if text.isascii():
        folded = text.lower()
    else:
        decomposed = unicodedata.normalize("NFKD", text)
        folded = "".join(one for one in decomposed if not unicodedata.combining(one)).casefold()
    return [word[:WORD_MAX] for word in _WORD.findall(_LETTER_THEN_DIGIT.sub(" ", folded))]


def key(text: str) -> str:
    """Return the words joined by blanks, by which names, licences and tags are compared."""
    return " ".join(words(text))


@dataclass(frozen=True, slots=True)
class Query:
    """Query: the words of each term, and the terms as typed.

    No terms at all means every model.
    """

    terms: tuple[tuple[str, ...], ...] = ()
    typed: tuple[str, ...] = ()

    @classmethod
    def of(cls, typed: Iterable[str]) -> "Query":
        """Return the query of typed texts. A term without a letter or a digit counts only if there is no other."""
        texts = [term for text in typed for term in text.split()]
        words_by_term = {term: tuple(words_of_term) for term in texts if (words_of_term := words(term))}
        terms = list(words_by_term.items())[:TERMS_MAX]
        if texts and not terms:
            return cls(((),), (texts[0],))
        return cls(tuple(words_of_term for _, words_of_term in terms), tuple(term for term, _ in terms))

    @property
    def findable(self) -> bool:
        """Return whether it has words: `***` is in no model."""
        return all(self.terms)

    @property
    def words(self) -> list[str]:
        return list(dict.fromkeys(word for term in self.terms for word in term))

    @property
    def key(self) -> str:
        return " ".join(word for term in self.terms for word in term)

    @property
    def strict(self) -> str:
        """Return it in FTS5's language: each term's words side by side, the last of them as a beginning."""
        return _all(self.terms)

    @property
    def loose(self) -> str:
        """Return it in FTS5's language: each word as a beginning, wherever it stands."""
        return _all([(word,) for word in self.words])

    def corrected(self, other: Mapping[str, str]) -> "Query":
        """Return the query with some words replaced."""
        typed = tuple(
            _replaced(text, {word: other[word] for word in term if word in other})
            for text, term in zip(self.typed, self.terms, strict=True)
        )
        return Query(tuple(tuple(other.get(word, word) for word in term) for term in self.terms), typed)


def _replaced(text: str, other: Mapping[str, str]) -> str:
    for word, right in other.items():
        text = text.lower().replace(word, right)
    return text


def _all(phrases: Sequence[Sequence[str]]) -> str:
    # In quotes, and of letters and digits alone, no text is syntax: FTS5 has no other escape.
    return " AND ".join(f'"{" ".join(phrase)}"*' for phrase in phrases)
