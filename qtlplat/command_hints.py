"""Commands that messages suggest, completed by the `--store` and `--registry` they need to mean the same thing."""

from __future__ import annotations

import re
import shlex

# the commands that open the store, and those that read the registry
OPEN_STORE = frozenset(
    "run sweep resume predict replay reproduce runs show tag note rm sql compare diff best pareto errors plot report "
    "export import store".split()
)
READ_REGISTRY = frozenset(
    "run sweep resume predict replay reproduce errors plot report export ls info data bench plugins".split()
)
# A command with its arguments: what is in quotes or not a plain word, for a plain word continues the sentence. A run's
# id may have no digit, and no option is the next word of a sentence. A command in quotes is a value that is shown.
_COMMAND = re.compile(
    rf"(?<![\w'\"./-])qtlplat (?P<name>{'|'.join(sorted(OPEN_STORE | READ_REGISTRY))})(?![\w-])"
    r"(?P<rest>(?: (?:check|upgrade|backup|recover|merge|gc|sync|path|doctor|list|info|audit|show|status|retry|rm)\b)?"
    r"(?: (?:\"[^\"]*\"|'[^']*'|[a-f]{8}(?:[a-f]{8})?(?![\w-])|[a-z]+(?= --?[a-z])"
    r"|[a-z]*(?:[^\sa-z;,()`]|,(?=\w))(?:[^\s;,()`]|,(?=\w))*))*)"
    r"(?P<value> [a-z][\w.-]*(?=$|[;,)`]|  ))?(?P<word> [a-z])?"
)


def completed(text: str, store: str = "", registry: str = "") -> str:
    """The text, in which every command of qtlplat names the store and the registry.

    Args:
        text: a message, perhaps with commands in it.
        store: as for ``--store``; '' if a command finds the store without it. A command that names one keeps it.
        registry: the same of ``--registry``.
    """
    if not (store or registry) or "qtlplat " not in text:
        return text

    def complete(found: re.Match[str]) -> str:
        name, rest, value, word = (found[part] or "" for part in ("name", "rest", "value", "word"))
        option = rest.rpartition(" ")[2].startswith("-")
        rest, word = (rest + value, word) if option else (rest, value + word)
        flags = ""
        for flag, value, needed_by in (("--store", store, OPEN_STORE), ("--registry", registry, READ_REGISTRY)):
            if value and name in needed_by and not re.search(rf" (?:{flag}|--help)\b", rest):
                flags += f" {flag} {shell_word(value)}"
        if word and option:  # perhaps the value of that option: before is never wrong
            return f"qtlplat{flags} {name}{rest}{word}"
        return f"qtlplat {name}{rest}{flags}{word}"

    return _COMMAND.sub(complete, text)


def shell_word(text: str) -> str:
    """One word for a shell; control characters, which no message may print, as ``$'...'`` of bash, zsh and ksh."""
    if text.isprintable():
        return shlex.quote(text)
    return "$'" + "".join(map(_spelled_out, text)) + "'"


def _spelled_out(character: str) -> str:
    if character in "'\\":
        return f"\\{character}"
    if character.isprintable():
        return character
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))
