"""The syntax of systemd's units: systemd.syntax(7), Quoting; systemd.unit(5), Specifiers; systemd.service(5).

Written from those pages, not from what flowhub writes, so that a test can read back what was meant.
"""

_ESCAPES = {"n": "\n", "t": "\t", "\\": "\\", '"': '"', "'": "'", "s": " "}


def unit_lines(text: str) -> list[tuple[str, str, str]]:
    """Return (section, key, value) of each line. flowhub's units have no continued lines."""
    found, section = [], ""
    for line in text.split("\n"):
        assert not line.endswith("\\"), line
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith(("#", ";")):
            key, _, value = line.partition("=")
            found.append((section, key.strip(), value.strip(" \t")))
    return found


def values(text: str, key: str) -> list[str]:
    return [value for _, name, value in unit_lines(text) if name == key]


def words(text: str) -> list[str]:
    """Return the words of a value, unquoted and with specifiers resolved: only `%%` is one that we know."""
    return [resolve_specifiers(word) for word in _split(text)]


def command(text: str) -> list[str]:
    """Return the words that a command line of a unit runs, after `$$` became `$`. Nothing else may be replaced."""
    path, *arguments = words(text)
    assert path.startswith("/")
    assert not set(path) & set("\"'\\"), "systemd refuses such a path"
    for argument in arguments:
        assert "$" not in argument.replace("$$", ""), f"{argument!r} would be replaced by the environment"
    return [path, *(argument.replace("$$", "$") for argument in arguments)]


def resolve_specifiers(word: str) -> str:
    assert "%" not in word.replace("%%", ""), f"{word!r} holds a specifier"
    return word.replace("%%", "%")


def _split(text: str) -> list[str]:
    found: list[str] = []
    word, quote, begun = "", "", False
    rest = iter(text)
    for one in rest:
        if one == "\\":
            word, begun = word + _ESCAPES[next(rest)], True
        elif quote:
            quote, word = ("", word) if one == quote else (quote, word + one)
        elif one in "\"'":
            # Within a word quotes do nothing more than at its beginning; flowhub quotes whole words only.
            assert not word
            quote, begun = one, True
        elif one in " \t":
            found += [word] if begun else []
            word, begun = "", False
        else:
            word, begun = word + one, True
    assert not quote, "the quote has no end"
    return found + ([word] if begun else [])
