"""Recognize the meaning of a payload's keys, such as secrets and people's names."""

import re
import unicodedata
from typing import Final

#: Keys of secrets, in lowercase without separators.
SECRET: Final = re.compile(
    r".*(secret|password|passwd|pwd|apikey|accesstoken|authtoken|apitoken|authorization|signature"
    r"|handshakekey|privatekey|googlekey|webhooktoken|verifytoken|sharedkey|credential)s?|token|key"
)
#: The text that replaces a secret or private data in a sample.
REMOVED: Final = "REMOVED"
#: Keys of IDs that are named ``token``, such as ``form_response.token``.
REQUEST_TOKEN: Final = re.compile(r"(response|submission|lead|booking|event)\.token")
#: The second key of a form's field such as ``lead[email]``.
_BRACKETS: Final = re.compile(r"(?<=[\w\]])\[([\w -]+)\]")
#: Words that forms put before the name of a field, in lower case without separators.
ASKED: Final = re.compile(r"^(please)?(enter|provide|giveus|tellus|whatis|whats)?(your(?=.{5}))?")
#: Words before the name of a field, as in ``Votre nom`` and ``Su nombre``.
_YOUR: Final = (
    r"(?:quelest|cuales|wieist|watis|quale?)?"
    r"(?:votre|ihre?|dein|sus?|tus?|sua|seu|suo|tuo|uw|je|il)*"
)
#: Keys of a person's names, without separators, such as ``Name (First)`` and ``lname``, in English,
#: French, German, Spanish, Portuguese, Italian and Dutch.
FIRST_NAME: Final = (
    r".*(first|given)name|fname|.*name(first|given)|first|given"
    rf"|{_YOUR}(prenoms?|vornamen?|rufname|nombres?(depila)?|primernombre|primeironome|nomeproprio"
    r"|nomedibattesimo|voornaam|voornamen|roepnaam)"
)
LAST_NAME: Final = (
    r".*(last|family|sur)name|lname|.*name(last|family|sur)|last|family"
    rf"|{_YOUR}(nomdefamille|nachnamen?|familienname|zuname|(primer|segundo)?apellidos?(paterno|materno)?"
    r"|sobrenomes?|(ultimo)?apelidos?|ultimonome|nomedefamilia|cognom[ei]"
    r"|achternaam|familienaam)"
)
#: Keys of a full name, and keys that mean a first or a last name if the other is beside them.
WHOLE_NAME: Final = (
    r"nombre(completo|s?yapellidos?)|apellidosynombres?|nomcomplet|(nomet)?prenomet(nom)?|nometprenom"
    r"|prenomnom|nomprenom|(vor|vorname)undnachname|vorundzuname|nachnameundvorname|vollstandigername"
    r"|nomecompleto|nomee(sobrenome|apelido|cognome)|cognomeenome|volledigenaam"
    r"|voor(naam)?enachternaam|vorundfamilienname"
)
NAME_WORD: Final = rf"{_YOUR}(nom|nome|naam)"
#: In Spanish, the key of a first name or of a full name.
SPANISH_NAME: Final = re.compile(rf"{_YOUR}nombres?")
#: Words for people, which also stand alone as the key of a name.
ROLES: Final = (
    "customer|contact|visitor|guest|renter|invitee|lead|prospect|sender|attendee|applicant|tenant"
    "|client|caller|resident|lessee|person|host|agent|owner|organizer|assignee|user|roommate|spouse|partner"
)
ROLE_ALONE: Final = re.compile(rf"({ROLES})s?")
#: A first and a last name, as the value of a key such as ``guest``.
FULL_NAME: Final = re.compile(r"[^\W\d_a-z][\w'-]*,?(?: [^\W\d_a-z][\w'.-]*){1,3}")
#: Keys of the first and last name in a form whose fields have numbers.
NUMBERED: Final = re.compile(
    r"(?:.*\.)?(?:input_\d+[._]|\.\d+\.|\"\d+\.)(?:(?P<first>3)|6)\"?", re.IGNORECASE
)

#: Keys that only wrap the value of the key above them.
WRAPPERS: Final = frozenset(
    {"value", "data", "#text", "val", "Exact", "@Exact", "@exact", "@attributes"}
)


def without_request(key: str) -> str:
    """Remove words such as ``pleaseenter`` from a key that is a label or question.

    For example, ``whatisyourfullname`` becomes ``fullname``.
    """
    return ASKED.sub("", key)


def names_in(path: str) -> list[str]:
    """Split a path into keys. The name of a form field, such as ``lead[email]``, is two keys."""
    return _BRACKETS.sub(r".\1", path).split(".")


def is_secret(path: str) -> bool:
    """Return True if a path's last key suggests a password, token or signature."""
    if REQUEST_TOKEN.search(path.lower()):
        return False
    return SECRET.fullmatch(key_of(path)) is not None


def is_form_key(path: str) -> bool:
    """Return True if a path is a list item's ``key``, which contains the name of a form field."""
    return re.search(r"\.\d+\.key$", path.lower()) is not None


def secret_name(path: str) -> str:
    """Return the name of the field under ``strip:`` for a secret in a body, or "".

    A signature is not a secret, and it is different in each webhook.
    """
    names = [name for name in names_in(path) if not name.isdigit()]
    is_signature = "signature" in key_of(path)
    return names[-1] if is_secret(path) and not is_form_key(path) and not is_signature else ""


def numbered_name(path: str) -> str:
    """Return "firstname" or "lastname" for a numbered name field such as ``input_1_3``, or ""."""
    found = NUMBERED.fullmatch(path)
    return "" if found is None else "firstname" if found["first"] else "lastname"


def key_of(path: str) -> str:
    """Return the last meaningful key in a path, in lowercase and without separators."""
    names = _meaningful(path) or [path]
    plain = unicodedata.normalize("NFKD", names[-1][:80]).lower()
    key = without_request(re.sub(r"[^a-z0-9]", "", re.sub(r"^q\d+_", "", plain)))
    return numbered_name(path) or key


def owned_key(path: str) -> str:
    """Return a path's last two keys, joined as in "locationid" for ``location.id``."""
    plain = unicodedata.normalize("NFKD", "".join(_meaningful(path)[-2:])[:160]).lower()
    return re.sub(r"[^a-z0-9]", "", plain)[:80]


def _meaningful(path: str) -> list[str]:
    return [name for name in names_in(path) if not (name in WRAPPERS or name.isdigit())]


def words_in(name: str) -> list[str]:
    """Split a key into lowercase words, such as ["recipient", "email"] for ``recipientEmail``."""
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name[:200])]


def words_around(path: str) -> list[str]:
    """Return the words in the keys above a path's last key."""
    return [word for name in names_in(path)[:-1] for word in words_in(name)]
