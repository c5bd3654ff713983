"""Propose ``read:`` lines for lists of answers, JSON strings and emails in samples."""

import dataclasses
import functools
import json
import re
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from adapter.exceptions import Unreadable
from adapter.mapping.engine.reshape import Labels
from adapter.parsing.mail_text import is_forwarded, own_text
from adapter.parsing.paths import MISSING, path_from_text, walk

Row = Mapping[str, Any]

#: Keys of a question and its answer in several languages. They may also have other meanings.
QUESTION_WORDS: Final = (
    *("q", "Question", "prompt", "frage", "Frage", "pregunta", "Pregunta", "etiqueta"),
    *("libellé", "libelle", "intitulé", "intitule", "pergunta", "domanda", "etichetta", "vraag"),
    *("bezeichnung", "feld", "Feld", "campo", "champ", "veld"),
)
ANSWER_WORDS: Final = (
    *("a", "Answer", "response", "antwort", "Antwort", "respuesta", "Respuesta", "valor"),
    *("réponse", "reponse", "valeur", "resposta", "risposta", "valore", "antwoord", "waarde"),
    *("wert", "Wert"),
)
#: Key and value paths in the lists of answers that form builders send.
ANSWER_KEYS: Final = (
    *("field.ref", "field.id", "column_id", "ref", "label", "question", "key", "name"),
    *("title", "field"),
    *("@EventType", "EventType", "@IDType", "IDType"),
    *QUESTION_WORDS,
)
ANSWER_VALUES: Final = (
    *("text", "email", "phone_number", "number", "date", "boolean", "choice.label"),
    *("choices.labels", "string_value", "value", "values", "answer", "val"),
    *("@EventDate", "EventDate", "@IDValue", "IDValue"),
    *ANSWER_WORDS,
)
#: Keys that other lists also have, and the values that mark a list with them as answers.
TITLES: Final = frozenset({"title", "question", "field", "name", *QUESTION_WORDS})
PLAIN_VALUES: Final = frozenset({"value", "values", "answer", "val", *ANSWER_WORDS})
#: Keys of a question's options, and of an option's text.
OPTIONS: Final = ("options", "choices")
OPTION_TEXTS: Final = ("text", "label", "name", "title")
#: Data that a program has calculated, instead of what a renter answered.
CALCULATED: Final = re.compile(r"(.*\.)?(variables|charsets)")
#: A line of an email such as ``Phone: 303-555-0142``.
LABEL: Final = re.compile(r"^[>* \t-]*+([^\W\d_](?:[^\W\d_]|[ /]){1,30}):[* \t]+\S", re.MULTILINE)
#: Minimum number of labels for text to be an email with a field on each line.
FEWEST_LABELS: Final = 3
#: Keys for the whole text of an email or message, in lowercase without separators.
FREE_TEXT: Final = re.compile(r"(body)?plain(text)?|(text|stripped|plain)?(body|text)")
#: Keys of the list of messages in a chat.
CHAT: Final = re.compile(r"(chat|conversation)?_?(messages|items|replies|parts)", re.IGNORECASE)
#: Maximum length of text to search for labels.
LONGEST: Final = 100_000


@dataclasses.dataclass(frozen=True, slots=True)
class Reading:
    """A proposed line under ``read:``, with the function that reads its value from a payload."""

    name: str
    line: str
    #: The path that it reads.
    path: str
    read: Callable[[Row], Any]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Mail:
    """The ``read:`` names for the parts of an email, and the paths of its text and subject."""

    name: str
    asked: str
    change: str
    paths: tuple[str, ...]
    subject: str | None

    @property
    def names(self) -> tuple[str, str, str]:
        """The ``read:`` names for the email's text and its sentences about a time or a change."""
        return (self.name, self.asked, self.change)

    def line(self) -> str:
        """Return the ``read:`` line that extracts an email's text without quoted emails."""
        paths = quoted(self.paths[0]) if len(self.paths) == 1 else f"[{_list(self.paths)}]"
        subject = f", subject: {quoted(self.subject)}" if self.subject else ""
        return f"{{ text: {paths}, without: quotes{subject} }}"

    def sentences(self) -> dict[str, str]:
        """Return the ``read:`` lines that find sentences about a time or a change."""
        kinds = {self.asked: "time", self.change: "change"}
        return {name: f"{{ text: {self.name}, find: {kind} }}" for name, kind in kinds.items()}

    def text(self, row: Row) -> str | None:
        """Return the text of an email without quoted emails, or None if there is no text."""
        subject = read(row, self.subject) if self.subject else None
        is_forward = isinstance(subject, str) and is_forwarded(subject)
        texts = ("\n".join(_texts(row, path)) for path in self.paths)
        whole = next(filter(None, texts), None)
        return own_text(whole, forwarded=is_forward) if whole else None


def read(data: Any, path: str) -> Any:
    """Return the value at a path, or MISSING if there is no value or it cannot be read."""
    try:
        return path_from_text(path).read(data)
    except (Unreadable, ValueError):
        return MISSING


def quoted(text: str) -> str:
    """Quote a path or value for YAML if necessary."""
    is_plain = re.fullmatch(r"[A-Za-z_](?:[\w .-]*[\w])?", text)
    return text if is_plain and text.lower() not in _WORDS else json.dumps(text, ensure_ascii=False)


#: Plain words that YAML reads as something else.
_WORDS: Final = {"yes", "no", "on", "off", "true", "false", "null", "y", "n"}


def _list(paths: Sequence[str]) -> str:
    return ", ".join(map(quoted, paths))


# --- answers and JSON


def reading_at(path: str, value: Any) -> Reading | None:
    """Propose a ``read:`` line for a list of answers or a JSON string, or return None."""
    if CALCULATED.fullmatch(path):
        return None
    if isinstance(value, list) and len(value) > 1:
        return _answers_reading(path, value)
    is_object = isinstance(value, str) and value[:LONGEST].lstrip()[:1] == "{"
    if is_object and isinstance(_json(value), Mapping):
        line = f"{{ json: {quoted(path)} }}"
        return Reading("given", line, path, lambda row: _json(read(row, path)))
    return None


def _answers_reading(path: str, items: list[Any]) -> Reading | None:
    answers = answers_in(items)
    if answers is None:
        return None
    by, values = answers
    labels = _labels_in(items, values)
    options = f", labels: {{ list: {labels[0]}, by: id, value: {labels[1]} }}" if labels else ""
    line = f"{{ list: {quoted(path)}, by: {quoted(by)}, value: [{_list(values)}]{options} }}"
    table = _labels_at(*labels) if labels else None
    return Reading("answers", line, path, lambda row: _answers(row, path, by, values, table))


def answers_in(items: list[Any]) -> tuple[str, list[str]] | None:
    """Return the path of the question and the paths of the values in each answer, or None."""
    for by in ANSWER_KEYS:
        keys = [read(item, by) for item in items]
        values = [path for path in ANSWER_VALUES if path != by and _is_in_any(items, path)]
        is_answer = by not in TITLES or PLAIN_VALUES & {*values}
        if values and is_answer and all(isinstance(key, str) and key for key in keys):
            return by, values
    return None


def _is_in_any(items: list[Any], path: str) -> bool:
    return any(read(item, path) not in (MISSING, None, "") for item in items)


def _labels_in(items: list[Any], values: Sequence[str]) -> tuple[str, str] | None:
    """Return the keys of a question's options and option labels if its answers are option IDs."""
    for item in items:
        given = _first_value(item, values)
        for key in OPTIONS:
            options = read(item, key)
            chosen = [
                option
                for option in (options if isinstance(options, list) else [])
                if isinstance(option, Mapping) and _is_among(option.get("id"), given)
            ]
            texts = (text for text in OPTION_TEXTS if chosen and text in chosen[0])
            if text := next(texts, None):
                return key, text
    return None


def _labels_at(options: str, text: str) -> Labels:
    path, by, value = map(path_from_text, (options, "id", text))
    return Labels(path=path, by=by, value=value)


def _is_among(one: Any, given: Any) -> bool:
    return one is not None and one in (given if isinstance(given, list) else [given])


def _answers(
    row: Row, path: str, by: str, values: Sequence[str], labels: Labels | None
) -> dict[str, Any]:
    items = read(row, path)
    items = items if isinstance(items, list) else [items]
    if items and all(isinstance(item, list) for item in items):
        items = [one for item in items for one in item]
    keyed = ((read(item, by), item) for item in items if isinstance(item, Mapping))
    found: dict[str, Any] = {}
    for key, item in keyed:
        if isinstance(key, str):
            found.pop(key, None)  # so that the last key belongs to the last item
            value = _first_value(item, values)
            found[key] = labels.relabel(item, value, {}) if labels and value else value
    return found


def _first_value(item: Any, paths: Sequence[str]) -> Any:
    values = (read(item, path) for path in paths)
    return next((value for value in values if value not in (MISSING, None)), None)


def _json(value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return None


# --- emails


def mail_in(rows: Sequence[Row], free_name: Callable[[str], str]) -> Mail | None:
    """Return the ``read:`` names and paths for emails, or None if the samples are not emails."""
    texts = {path: value for row in rows for path, value in walk(row) if isinstance(value, str)}
    chats = {path for row in rows for path, value in walk(row) if _is_chat(path, value)}
    found = dict.fromkeys(
        _every_item(path)
        for path, text in texts.items()
        if _is_mail(path, text) or _is_in_chat(path, chats)
    )
    ranked = sorted(found, key=_is_html)
    if not ranked:
        return None
    first = ranked[0]
    others = (_every_item(path) for path in texts if _is_html(path) and not _is_html(first))
    subjects = (path for path in texts if _plain_key(path) == "subject")
    return Mail(
        name=free_name("message"),
        asked=free_name("asked"),
        change=free_name("change"),
        paths=(first, *dict.fromkeys(others)),
        subject=next(subjects, None),
    )


def label_readings(mail: Mail, rows: Sequence[Row]) -> Iterator[Reading]:
    """Yield a proposed ``read:`` line for each label in the sample emails, such as ``Phone:``."""
    texts = [mail.text(row) or "" for row in rows]
    for text in texts:
        labels = dict.fromkeys(LABEL.findall(text))
        for label in labels if len(labels) >= FEWEST_LABELS else ():
            line = f"{{ text: {mail.name}, line: {json.dumps(label + ':', ensure_ascii=False)} }}"
            plain = unicodedata.normalize("NFKD", label.strip().lower()).encode("ascii", "ignore")
            name = re.sub(r"\W+", "_", plain.decode()) or "label"
            yield Reading(name, line, mail.name, functools.partial(_line, mail, label))


def _is_mail(path: str, text: str) -> bool:
    """Return True for multiline text that contains labels or has a key such as ``body``."""
    if len(text) > LONGEST:
        return False
    is_message = FREE_TEXT.fullmatch(_plain_key(path)) is not None
    if "\n" not in text:
        return False
    return is_message or len({*LABEL.findall(text)}) >= FEWEST_LABELS


def _is_chat(path: str, value: Any) -> bool:
    is_named = CHAT.fullmatch(path.rpartition(".")[2]) is not None
    return is_named and isinstance(value, list) and len(value) > 1


def _is_in_chat(path: str, chats: Collection[str]) -> bool:
    """Return True if a path points to the text of a chat message."""
    item = path.rpartition(".")[0]
    return item.rpartition(".")[0] in chats and FREE_TEXT.fullmatch(_plain_key(path)) is not None


def _is_html(path: str) -> bool:
    return re.fullmatch(r"(body|stripped)?html(body)?", _plain_key(path)) is not None


def _plain_key(path: str) -> str:
    return re.sub(r"[^a-z]", "", path.rpartition(".")[2].lower())


def _every_item(path: str) -> str:
    return re.sub(r"\.\d+(?=\.|$)", ".*", path)


def _texts(row: Row, path: str) -> list[str]:
    found = read(row, path)
    items = found if isinstance(found, list) else [found]
    return [one for one in items if isinstance(one, str) and one.strip()]


def _line(mail: Mail, label: str, row: Row) -> str | None:
    text = mail.text(row)
    pattern = rf"^[>* \t-]*+{re.escape(label)}:[* \t]+(.+)$"
    found = re.search(pattern, text, re.MULTILINE) if text else None
    return found[1].strip() if found else None
