"""Search queries as typed: words, typos and numbers of parameters."""

import pytest

from flowhub_jobs.catalogs.search_filters import Filters, parameter_range
from flowhub_jobs.catalogs.search_query import TERMS_MAX, Query, key, words
from flowhub_jobs.catalogs.suggest import edit_distance, nearest_word
from flowhub_jobs.errors import UsageInvalid

B, M = 10**9, 10**6


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Qwen2.5-7B", ["qwen", "2", "5", "7b"]),
        ("Q4_K_M", ["q", "4", "k", "m"]),
        ("llama3", ["llama", "3"]),
        ("Llama 3", ["llama", "3"]),
        ("Mérida ÉTÉ", ["merida", "ete"]),
        ("Straße", ["strasse"]),
        ("ﬁne", ["fine"]),
        ("千问", ["千问"]),
        ("NEAR(a b)", ["near", "a", "b"]),
        ('"*:^-+\0\udcff', []),
    ],
)
def test_a_text_is_folded_to_words_of_letters_and_digits(text, folded):
    assert words(text) == folded
    assert key(text) == " ".join(folded)


def test_a_query_is_quoted_phrases_that_match_by_prefix():
    query = Query.of(["qwen2.5-7b", "q4_k_m OR"])
    assert query.strict == '"qwen 2 5 7b"* AND "q 4 k m"* AND "or"*'
    assert query.loose == '"qwen"* AND "2"* AND "5"* AND "7b"* AND "q"* AND "4"* AND "k"* AND "m"* AND "or"*'


def test_a_term_without_a_letter_counts_only_if_there_is_no_other():
    assert Query.of(["qwen", "&", "llama"]).typed == ("qwen", "llama")
    assert not Query.of(["&", "***"]).findable
    assert Query.of([" ", ""]) == Query()


def test_terms_beyond_the_sixteenth_are_ignored():
    assert len(Query.of([" ".join(f"w{n}" for n in range(5000))]).terms) == TERMS_MAX


def test_a_correction_replaces_its_word_in_the_typed_text():
    assert Query.of(["Qwne2.5-7B", "chat"]).corrected({"qwne": "qwen"}).typed == ("qwen2.5-7b", "chat")


# Typos --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [("qwen", "qwen", 0), ("qwne", "qwen", 1), ("lama", "llama", 1), ("mistrall", "mistral", 1), ("gema", "gemma", 1),
     ("deepsek", "deepseek", 1), ("misrtal", "mistral", 1), ("abcd", "wxyz", 3), ("", "ab", 2), ("ca", "abc", 3)],
)  # fmt: skip
def test_typos_are_counted_a_swap_as_one_and_no_further_than_asked(one, other, distance):
    assert edit_distance(one, other, 2) == distance
    assert edit_distance(other, one, 2) == distance


KNOWN = {"qwen": 50, "queen": 1, "llama": 30, "mistral": 20, "ministral": 3, "starcoder": 4, "72b": 9, "instruct": 60}


@pytest.mark.parametrize(
    ("typed", "expected"),
    [("qwne", "qwen"), ("lama", "llama"), ("mitsral", "mistral"), ("instrcut", "instruct"), ("coder", "starcoder"),
     ("70b", None), ("zz", None), ("unheardof", None)],
)  # fmt: skip
def test_a_typo_is_corrected_to_the_nearest_word(typed, expected):
    assert nearest_word(typed, KNOWN) == expected


def test_of_words_equally_near_the_one_in_most_models_is_chosen():
    assert nearest_word("mode", {"more": 2, "code": 9, "node": 1}) == "code"


# Figures ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "bounds"),
    [
        ("7B", (6.5 * B, 7.5 * B)),
        ("7", (6.5 * B, 7.5 * B)),
        ("1.5b", (1.45 * B, 1.55 * B)),
        ("7..14B", (6.5 * B, 14.5 * B)),
        ("..8B", (0, 8.5 * B)),
        ("30B..", (29.5 * B, None)),
        ("500M..3B", (499.5 * M, 3.5 * B)),
        (" 0.5 .. 3 b ", (0.45 * B, 3.5 * B)),
    ],
)
def test_a_number_of_parameters_means_what_rounds_to_it(text, bounds):
    assert parameter_range(text) == bounds


@pytest.mark.parametrize(
    "text", ["", "..", "x", "7B8", "7...8", "14..7B", "-7B", "7..8..9", "500..3B", "7 8", "1e9", "\u0667B"]
)
def test_an_invalid_number_of_parameters_is_refused_with_an_example(text):
    with pytest.raises(UsageInvalid) as raised:
        parameter_range(text)
    assert "7..14B" in (raised.value.hint or "")


@pytest.mark.parametrize("filters", [{"format": "exe"}, {"license": "***"}, {"tags": ("",)}, {"publisher": "-"}])
def test_an_invalid_filter_is_refused_with_an_example(filters):
    with pytest.raises(UsageInvalid) as raised:
        Filters.typed(**filters)
    assert raised.value.hint


def test_a_largest_size_without_a_unit_is_refused_with_the_units():
    with pytest.raises(UsageInvalid) as raised:
        Filters.typed(max_size="10")
    assert "--max-size 10M, 10G or 10T" in (raised.value.hint or "")
