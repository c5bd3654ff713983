"""Extract values for ``read:`` from emails, such as the text after a label."""

import abc
import dataclasses
import functools
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from adapter.exceptions import Unreadable
from adapter.mapping.engine.reshape import CAP_MAIL, ReadResult
from adapter.mapping.engine.scope import Scope
from adapter.parsing.html_text import plain_text
from adapter.parsing.mail_text import is_forwarded, own_text
from adapter.parsing.paths import Path, as_list, unwrap_single
from adapter.parsing.sentences import sentence_with

#: Soft hyphens and zero-width characters, which mail programs insert.
_INVISIBLE: Final = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")

#: Characters that only separate pieces of text.
_DECORATION: Final = "*|-_ \n"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class MailReader(abc.ABC):
    """Reads the first nonempty text at the given paths (the ``text`` option)."""

    path: Path
    #: The paths to try if the first one is empty, such as the path of the HTML.
    fallbacks: tuple[Path, ...] = ()

    @property
    def paths(self) -> tuple[Path, ...]:
        """All paths that the reader uses."""
        return (self.path, *self.fallbacks)

    def read(self, scope: Scope) -> ReadResult:
        """Return the extracted text, or None if the email does not contain it.

        If several strings in a list contain different values, return all of them. A required field
        cannot be read from a list, so the lead is held.
        """
        try:
            tried = (texts_at(scope, path) for path in (self.path, *self.fallbacks))
            texts: list[str] = next(filter(None, tried), [])
        except Unreadable as exc:
            return ReadResult(None, str(exc))
        found = dict.fromkeys(filter(None, (self._found(text, scope) for text in texts)))
        return ReadResult(self._joined(list(found)) if found else None)

    def _joined(self, found: list[str]) -> str | list[str]:
        return found[0] if len(found) == 1 else found

    @abc.abstractmethod
    def _found(self, text: str, scope: Scope) -> str | None:
        """Extract the value from one string, or return None if the string does not contain it."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TextReader(MailReader):
    """Reads the text next to a label in an email, such as ``Phone:``."""

    #: Labels at the start of a line, with their colon if they have one: ``Name:``.
    line: tuple[str, ...] = ()
    #: Labels anywhere in the text.
    after: tuple[str, ...] = ()
    #: Labels after the text. If there are none, the text ends with the line.
    before: tuple[str, ...] = ()

    def _found(self, text: str, scope: Scope) -> str | None:
        if text not in scope.mails:
            scope.mails[text] = _lines(text[:CAP_MAIL])
        return self._found_in(scope.mails[text])

    def _found_in(self, mail: str) -> str | None:
        if self.line:
            found = _first_match(_label_pattern, self.line, mail)
            return found[1].rstrip("*| ") if found else None
        start = _first_match(_words_pattern, self.after, mail)
        if self.after and not start:
            return None
        rest = mail[start.end() :] if start else mail
        if not self.before:
            return rest.partition("\n")[0].strip("*| ")
        end = _first_match(_words_pattern, self.before, rest)
        above = rest[: end.start()] if end else ""
        return (" ".join(above.split()) if start else above).strip(_DECORATION) or None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class OwnTextReader(MailReader):
    """Reads an email's text without quoted emails (the ``without: quotes`` option)."""

    #: The path of the subject, which shows whether the email was forwarded.
    subject: Path | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """All paths that the reader uses."""
        return (self.path, *self.fallbacks, *((self.subject,) if self.subject else ()))

    def _found(self, text: str, scope: Scope) -> str:
        subject = unwrap_single(scope.read(self.subject)) if self.subject else None
        forwarded = isinstance(subject, str) and is_forwarded(subject)
        return own_text(text[:CAP_MAIL], forwarded=forwarded)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SentenceReader(MailReader):
    """Reads the first sentence that mentions a time or asks for a change (the ``find`` option)."""

    #: One of :data:`~adapter.parsing.sentences.MENTIONS`.
    mention: str

    def _found(self, text: str, _scope: Scope) -> str | None:
        return sentence_with(self.mention, text[:CAP_MAIL])

    def _joined(self, found: list[str]) -> str:
        return found[0]


def texts_at(scope: Scope, path: Path) -> list[str]:
    """Return the nonempty string at a path, or all strings if the path passes through lists."""
    try:
        value = scope.read(path)
    except Unreadable:
        value = scope.read(path.through_lists())
    values = [one for each in listed(value) for one in listed(each)]
    return [one for one in values if isinstance(one, str) and one.strip()]


def listed(value: Any) -> list[Any]:
    """Return a value as a list. A value that is not a list becomes a list with one item."""
    found = as_list(value)
    return found if isinstance(found, list) else [found]


def _first_match(
    pattern: Callable[[str], re.Pattern[str]], labels: Sequence[str], mail: str
) -> re.Match[str] | None:
    """Return the match of the first label that occurs in an email, or None."""
    found = (pattern(label).search(mail) for label in labels)
    return next(filter(None, found), None)


def _lines(text: str) -> str:
    """Return an email's lines, with empty lines and repeated spaces removed."""
    text = _INVISIBLE.sub("", plain_text(text))
    lines = (" ".join(line.split()) for line in text.splitlines())
    return "\n".join(filter(None, lines))


@functools.cache  # has one entry per label in the mappings
def _words_pattern(label: str) -> re.Pattern[str]:
    """Return a regular expression that finds a label anywhere in text, even across two lines."""
    words = r"\s+".join(map(re.escape, label.removesuffix(":").split()))
    colon = r"[*_ ]*[:\uff1a][*_]*" if label.endswith(":") else ""
    start = r"(?<!\w)" if label[0].isalnum() else ""
    end = r"(?!\w)" if label[-1].isalnum() else ""
    return re.compile(rf"{start}{words}{colon}{end}", re.IGNORECASE)


@functools.cache  # has one entry per label in the mappings
def _label_pattern(line: str) -> re.Pattern[str]:
    """Return a regular expression for the text after a label at the start of a line."""
    stem = line.removesuffix(":").rstrip()
    colon = r"[*_ ]*[:\uff1a][*_]*" if line.endswith(":") else ""
    return re.compile(
        rf"^[> *_|•·-]*{re.escape(stem)}{colon}[*| ]*+(\S.*)", re.IGNORECASE | re.MULTILINE
    )
