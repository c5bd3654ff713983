"""Recognize keys and values that contain, or may contain, a person's private data."""

import re
from typing import Final

from adapter.mapping.authoring.made_up import PARTICLE
from adapter.mapping.authoring.payload_keys import ROLES, is_secret, key_of, names_in, words_in
from adapter.mapping.authoring.readings import QUESTION_WORDS
from adapter.mapping.authoring.whose import PLACE

#: Keys of data that is always private, regardless of its owner, in lowercase without separators.
PRIVATE: Final = re.compile(
    r"(ssn|socialsecurity(number|no)?|dob|birth(day|date)?|dateofbirth|passport|(driver)?licen[sc]e"
    r"(number|no)?|iban|(card|account)number|ipaddress|ip|useragent"
    rf"|({ROLES})?(age|ages|agerange|agegroup)|edad|fechadenacimiento|sexo"
    r"|.*(income|salary|salaries|earnings|networth|creditscore|creditrating|employer)(s|amount|range"
    r"|name|phone|band|tier|level|max|min)?|credit|credithistory|fico(score)?|wages?|ingresos?"
    r"|employment(status|type|info|details)?|employed|occupation|profession|jobtitle|work(place)?"
    r"|(current|high)?school(name)?|university|college|major|degree|education(level)?"
    r"|student(id|status)?|hobby|hobbies|bio|gender|sex|race|ethnicity|religion|nationality"
    r"|citizenship|(marital|relationship|military|family|civil)(status)?|disab\w+|veteran(status)?"
    r"|immigrationstatus|(home|property)value"
    r"|home(owner|ownership)(status)?|(call)?recording(url|link|file)?|avatar(url)?|photo(url)?"
    r"|profile(photo|picture|image|url)|linkedin(url)?|facebook(url)?|instagram)"
)
#: Keys next to a value that say when it was set, and which program set it.
RECORD: Final = re.compile(
    r"timestamp|source(type|id|label|vid)|(updated|created)(by(userid)?|at|date)|(is)?selected"
)
#: Words in a key that suggest private data. A key with one of them is only reported to the user.
_PRIVATE_WORDS: Final = frozenset(
    {"situation", "relationship", "military", "postcode", "postal", "zip", "zipcode", "city"}
    | {"town", "plz", "ort", "ville", "ciudad", "citta", "cidade", "household", "pronouns"}
    | {"age", "birth", "birthday", "birthdate", "credit", "fico", "income", "salary", "wage"}
    | {"earnings", "employer", "employment", "occupation", "job", "work", "school", "university"}
    | {"college", "student", "degree", "gender", "race", "ethnicity", "religion", "nationality"}
    | {"marital", "disability", "veteran", "voucher", "eviction", "evictions", "bankruptcy"}
    | {"criminal", "felony", "hobbies", "bio", "passport", "license", "recording", "homeowner"}
)
#: Keys of the renter's address.
ADDRESS: Final = re.compile(
    r"(street|home|mailing|current|previous|postal|contact|renter|applicant|guest|lead)*addr(ess)?"
    r"(line)?(one|two|[1-3])?(street)?|street(name|line)?(one|two|[1-3])?|wheredoyoulive(now)?"
    r"|direccion|domicilio"
)
#: Keys of the address's lines, inside an object with such a key.
ADDRESS_LINE: Final = re.compile(r"(line|street)(one|two|[1-3])")
#: More words for people, which stand alone as the key of a name, or end it.
_MORE_ROLES: Final = (
    "resident|occupant|leaseholder|buyer|seller|borrower|inquirer|request[eo]r|submitter|student"
    "|member|subscriber|signer|signatory|recipient|parent|guardian|mother|father|husband|wife|son"
    "|daughter|friend|coapplicant|cosigner|guarantor|referrer|manager|realtor|broker|assistant"
    "|employee|author|creator|individual|cliente|contacto|inquilino|solicitante|persona|residente"
)
WHO: Final = re.compile(
    rf"(who(m)?|quien|nextofkin|.*(referred|created|updated|submitted|booked|assigned)(by|to)"
    rf"|({ROLES}|{_MORE_ROLES})s?|.*(contact|applicant|resident|occupant|tenant|renter|guest|caller"
    r"|prospect|agent|manager|signer|holder))s?"
)
#: Keys of a person's name that begin with a word for a person.
WHOSE_NAME: Final = rf"({_MORE_ROLES})(full)?name|nombrecompleto|nomcomplet"
_CAPITAL: Final = r"[^\W\d_a-z][\w'\u2019.-]*"
#: A full name such as ``Dana de la Cruz``, ``OKAFOR, DANA`` or ``Okafor, Dana Q.``.
NAME: Final = re.compile(rf"{_CAPITAL},?(?: (?:{PARTICLE.pattern}|{_CAPITAL}),?){{1,5}}")
#: Two to five words, perhaps with a comma, as in ``okafor, dana``.
WORDS: Final = re.compile(r"[^\W\d_][\w'\u2019.-]*(?:,? [^\W\d_][\w'\u2019.-]*){1,4}")
#: A string with this many words may name someone.
_TEXT_WORDS: Final = 4
#: Times, code words, IDs and URLs.
HARMLESS: Final = re.compile(
    r"true|false|null|none|1\d{9}(?:\d{3})?|\d{4}-\d\d-\d\d[T ]\d\d:\d\d.*|[A-Z]+(?:_[A-Z0-9]+)+"
    r"|[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}|https?://\S*"
)
#: A word that may be a name, and parts of keys whose values are not names.
_ONE_NAME: Final = re.compile(r"[^\W\d_a-z][a-z\u00df-\u00ff'\u2019]+(?:-[^\W\d_]+)?")
_NO_NAMES: Final = frozenset(
    {"type", "kind", "status", "state", "source", "medium", "campaign", "channel", "format", "mode"}
    | {"method", "reason", "category", "topic", "event", "action", "country", "language", "locale"}
    | {"currency", "timezone", "zone", "device", "browser", "os", "platform", "pet", "pets", "plan"}
    | {"unit", "size", "priority", "stage", "role", "intent", "version", "label", "title", "day"}
    | {"month", "weekday", "period", "frequency", "time", "option", "key", "field", "model"}
    | {"level"}
    | {"service", "agent", "bot", "property", "community", "listing", "building", "form", "page"}
    | {"tour", "appointment", "portal", "website", "site", "provider", "via", "term"}
    | {"operating", "system", "sentiment", "outcome", "disposition"}
)
#: Keys of a question in a list of answers.
_QUESTIONS: Final = frozenset(map(key_of, QUESTION_WORDS))
#: Keys of IDs, and of the texts of forms.
IDS: Final = re.compile(r"(?!.*(tax|license|passport|national)).*(id|uuid|guid|vid)(value)?")
LABELS: Final = re.compile(r"label|placeholder|formname|option|text|title|html|tooltip|choice")
#: Keys of data that a user must always check, such as a renter's postal code.
ANYONES: Final = re.compile(
    r".*(postcode|postalcode|zipcode|zip|postal)|(home|current|renter)?(city|town|state|province)"
)
#: Headers that only mail servers read.
_OF_SERVERS: Final = re.compile(
    r"received(spf)?|dkimsignature|authenticationresults|arc\w+|xgoogle\w+|mimeversion"
)
_STREET: Final = re.compile(
    r"\d{1,6}[A-Za-z]? (?:[\w.'-]+ ){1,4}(st|street|ave|avenue|rd|road|blvd|boulevard|dr|drive|ln"
    r"|lane|ct|court|pl|place|way|pkwy|parkway|ter|terrace|cir|circle|hwy|highway)\b.*",
    re.IGNORECASE,
)
#: A phone number without separators.
_DIGITS: Final = re.compile(r"\+?1?[2-9]\d{2}[2-9]\d{6}")


def is_private(path: str) -> bool:
    """Return True if a path leads to a secret or to data that is always private."""
    if is_secret(path):
        return True
    names = [name for name in names_in(path) if not name.isdigit()]
    is_of_private = any(PRIVATE.fullmatch(key_of(name)) for name in names)
    return is_of_private and not (len(names) > 1 and RECORD.fullmatch(key_of(names[-1])))


def is_harmless(text: str) -> bool:
    """Return True for a value that never reveals anything about a person."""
    return HARMLESS.fullmatch(text) is not None


def may_be_personal(path: str, text: str) -> bool:
    """Return True if a value may be personal, so that a user must decide whether to keep it."""
    key = key_of(path)
    is_place = PLACE & {*words_in(path)}
    is_word = _PRIVATE_WORDS & {*words_in(path)} and (not is_harmless(text) or "_" in text)
    if (is_word or (ANYONES.fullmatch(key) and not text.islower())) and not is_place:
        return True
    if is_harmless(text) or _is_id(path, text) or _OF_SERVERS.fullmatch(key):
        return False
    if any(one.fullmatch(text) for one in (NAME, _STREET, _DIGITS)):
        return True
    if len(text.split()) > 1 and len(re.findall(r"[^\W\d_]{2,}", text)) >= _TEXT_WORDS:
        return not LABELS.fullmatch(key)
    is_other = is_place or (_NO_NAMES | _QUESTIONS) & {*words_in(path.rpartition(".")[2]), key}
    if _ONE_NAME.fullmatch(text) and not is_other:
        return True
    is_words = not re.search(r"[\d@/:]", text) and 0 < len(text.split()) < 5
    is_name = WHO.fullmatch(key) or re.fullmatch(WHOSE_NAME, key)
    return bool(is_name) and is_words


def _is_id(path: str, text: str) -> bool:
    """Return True for an ID, which may be a number with as many digits as a phone number."""
    names = [name for name in names_in(path)[-4:] if not name.isdigit()]
    is_id = any(IDS.fullmatch(key_of(name)) for name in names)
    return is_id and " " not in text and any(map(str.isdigit, text))
