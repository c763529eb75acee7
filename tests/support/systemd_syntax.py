"""The syntax of systemd's units: systemd.syntax(7), Quoting; systemd.unit(5), Specifiers; systemd.service(5).

Written from those pages, not from flowhub's output, so that a test can read a unit as systemd does.
"""

_ESCAPES = {"n": "\n", "t": "\t", "\\": "\\", '"': '"', "'": "'", "s": " "}


def unit_lines(text: str) -> list[tuple[str, str, str]]:
    """Return (section, key, value) of each line. flowhub's units have no continued lines."""
    lines, section = [], ""
    for line in text.split("\n"):
        assert not line.endswith("\\"), line
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith(("#", ";")):
            key, _, value = line.partition("=")
            lines.append((section, key.strip(), value.strip(" \t")))
    return lines


def values(text: str, key: str) -> list[str]:
    return [value for _, name, value in unit_lines(text) if name == key]


def words(text: str) -> list[str]:
    """Return the words of a value, unquoted and with specifiers resolved: only `%%` is supported."""
    return [resolve_specifiers(word) for word in _split(text)]


def command(text: str) -> list[str]:
    """Return the words that a command line of a unit runs; `$$` becomes `$`, and no other substitution may occur."""
    path, *arguments = words(text)
    assert path.startswith("/")
    assert not set(path) & set("\"'\\"), "systemd refuses such a path"
    for argument in arguments:
        assert "$" not in argument.replace("$$", ""), f"{argument!r} would be expanded from the environment"
    return [path, *(argument.replace("$$", "$") for argument in arguments)]


def resolve_specifiers(word: str) -> str:
    assert "%" not in word.replace("%%", ""), f"{word!r} holds a specifier"
    return word.replace("%%", "%")


def _split(text: str) -> list[str]:
    parsed_words: list[str] = []
    word, quote, in_word = "", "", False
    characters = iter(text)
    for character in characters:
        if character == "\\":
            word, in_word = word + _ESCAPES[next(characters)], True
        elif quote:
            quote, word = ("", word) if character == quote else (quote, word + character)
        elif character in "\"'":
            # flowhub quotes whole words only.
            assert not word
            quote, in_word = character, True
        elif character in " \t":
            parsed_words += [word] if in_word else []
            word, in_word = "", False
        else:
            word, in_word = word + character, True
    assert not quote, "the quote has no end"
    return parsed_words + ([word] if in_word else [])
