"""Recognize keys and values that contain, or may contain, a person's private data."""

import re
from typing import Final

from adapter.mapping.authoring.made_up import PARTICLE
from adapter.mapping.authoring.payload_keys import ROLES, is_secret, key_of, names_in, words_in

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
    r"|citizenship|marital(status)?|disab\w+|veteran(status)?|immigrationstatus|(home|property)value"
    r"|home(owner|ownership)(status)?|(call)?recording(url|link|file)?|avatar(url)?|photo(url)?"
    r"|profile(photo|picture|image|url)|linkedin(url)?|facebook(url)?|instagram)"
)
#: Words in a key that suggest private data. Such a key is only reported to the user.
_PRIVATE_WORDS: Final = frozenset(
    {"age", "birth", "birthday", "birthdate", "credit", "fico", "income", "salary", "wage"}
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
#: A text with this many words may name someone.
_TEXT_WORDS: Final = 4
_STREET: Final = re.compile(
    r"\d{1,6}[A-Za-z]? (?:[\w.'-]+ ){1,4}(st|street|ave|avenue|rd|road|blvd|boulevard|dr|drive|ln"
    r"|lane|ct|court|pl|place|way|pkwy|parkway|ter|terrace|cir|circle|hwy|highway)\b.*",
    re.IGNORECASE,
)
#: A phone number without separators.
_DIGITS: Final = re.compile(r"\+?1?[2-9]\d{2}[2-9]\d{6}")


def is_private(path: str) -> bool:
    """Return True if a path leads to a secret or to data that is always private."""
    return is_secret(path) or any(
        PRIVATE.fullmatch(key_of(name)) for name in names_in(path) if not name.isdigit()
    )


def may_be_personal(path: str, text: str) -> bool:
    """Return True if a value may be personal, so that a user must decide whether to keep it."""
    looks = (NAME, _STREET, _DIGITS)
    if any(one.fullmatch(text) for one in looks) or _PRIVATE_WORDS & {*words_in(path)}:
        return True
    if len(re.findall(r"[^\W\d_]{2,}", text)) >= _TEXT_WORDS:
        return True
    is_words = not re.search(r"[\d@/:]", text) and 0 < len(text.split()) < 5
    is_name = WHO.fullmatch(key_of(path)) or re.fullmatch(WHOSE_NAME, key_of(path))
    return bool(is_name) and is_words
