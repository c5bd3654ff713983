"""Match a payload's keys with the fields of a mapping."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from adapter.mapping.authoring.payload_keys import (
    FIRST_NAME,
    LAST_NAME,
    NAME_WORD,
    ROLE_ALONE,
    WHOLE_NAME,
    key_of,
    owned_key,
)

PLACES: Final = "location|form|page|branch|vendor"
#: Things that a community may have several of, or none.
CALENDARS: Final = "calendar|assistant|eventtype|schedule|agent"
TOURS: Final = "tour|appt|appointment|visit|booking|showing|viewing"
#: The end of a key for the tour's date or time in Spanish or French.
OF_VISIT: Final = "(de(la|l)?)?(visita|cita|recorrido|visite)"
START: Final = "starts?|begin|scheduled"
WISHED: Final = "(preferred|requested|desired)?"
#: Patterns for each target's key, in lowercase without separators, best match first.
KEYS: Final[Mapping[str, Sequence[str]]] = {
    "accept": (
        r"(webhook)?event(type|name)?|webhooktype|trigger(event|type)?",
        r"type|kind|topic|action",
    ),
    "test": (r"(is)?test(lead|mode|flag)?|issandbox",),
    "finished": (r"(is)?(finali[sz]ed|finished|completed?)",),
    "community": (
        r"(prop|property|community|apartment)(marketing)?(id|code|uuid|name|title)?",
        r"(listing|building|complex)(id|code|uuid|name|title)?",
        r"which(property|community|apartments?|building|location).*",
        f"(source|portal)?({PLACES})(id|code|uuid|name|uri)|location",
        f"({CALENDARS})(id|code|uuid|uri)|(calendar|schedule)name|assistantname|eventtype",
        r"to|recipient|(to|recipient)(phone)?number|(phone(number)?)?(being)?called(number)?|envelopeto",
        r"(tracking|dialed|business)(phone)?number",
        r"(property|listing|building|unit)(street)?address",
        r"(desarrollo|propiedad|inmueble|edificio|conjunto|condominio|residence|immeuble)",
    ),
    "dedupe": (
        r".*(id|uid|uuid|token|uri)|id(solicitud|cita|visita|reserva|prospecto|demande)",
        r".*(no|nr|num|number|ref|reference)",
    ),
    "sent_at": (
        r"(.*last)?(updated|modified)(at|on|time|date|datetime|timestamp)?",
        r"(created|submitted|requested|sent|received|occurred)(at|on|time|date|datetime|timestamp)?",
        r"(create|submit|request|lead|event)(date|time|timestamp|datetime)",
        r"timestamp|datecreated|starttimestamp|(fechade)?(enviado|creado|recibido)(en|el)?",
    ),
    "first_name": (FIRST_NAME,),
    "last_name": (LAST_NAME,),
    "name": (
        r"(full|your|customer|contact|visitor|guest|renter|invitee|lead|prospect|display|profile)name",
        rf"name|{NAME_WORD}|{WHOLE_NAME}",
        ROLE_ALONE.pattern,
    ),
    "email_1": (
        r".*e?mails?(add?ress?e?)?|(su)?correo(electronico)?|(votre)?courriel",
        r"o?correioeletronico|postaelettronica|indirizzoemail",
    ),
    "phone_1": (
        r".*(phones?|mobile|cell|telephone|sms|telefono)(number|no)?",
        r"telef(on|oon)e?(nummer)?|handy(nummer)?|mobil(nummer|telefon)?|mobiel|tel",
        r"(numero)?(de)?(portable|cellulare|movil|celular|telefono|telephone)",
        r"(call)?from(number)?|waid|callerid|.*remindernumber|(customer|caller|contact|guest)number",
    ),
    "starts_at": (
        f"({START}|{TOURS})(time|at|datetime|datetimeutc|slot|timestamp|start|when|for)(local)?",
        f"startdatetime|startson|slot|earliest|from|begin|starts?|datetime|show|{TOURS}|startsatutc",
        r"new(start)?time|(?!.*(creat|submit|sent|receiv|updat)).*dateandtime|timeslot",
        f"when.*({TOURS}|see|come|stopby)",
        f"fechayhora({OF_VISIT})?",
    ),
    "date": (
        f"{WISHED}({TOURS}|start)?(date|day)|(fecha|dia|date)({OF_VISIT})",
        r"(?!.*(move|birth|dob)).*date",
    ),
    "time": (
        f"{WISHED}({TOURS}|start)?(time|hour|timefrom)|(hora|heure)({OF_VISIT})?|from|starts?|begin",
        r".*time",
    ),
    "tour_type": (f"({TOURS})(type|kind|mode|method|format)", r"type|kind"),
    "move_in_date": (r".*(movein|moving|moveindate|movedate|move)(date)?|(fecha(de)?)?mudanza",),
    "number_of_occupants": (r".*occupants|(household|group|party)size",),
    "lease_term_in_months": (r".*lease(term|terms|length)(months)?|leaselengthmonths",),
    "rent_minimum_in_cents": (
        r"(min|minimum)(rent|budget|price)(cents)?|.*(rent|budget|price)(min(imum)?|low)",
    ),
    "rent_maximum_in_cents": (
        r"(max|maximum)(rent|budget|price)(cents)?|.*(rent|budget|price)(max(imum)?|high)",
        r"(monthly)?budget|presupuesto(maximo)?",
    ),
    "desired_num_bedrooms": (
        r".*(bedrooms|beds|numbedrooms|bedroomssought)|(desired)?(number|num)(of)?bed(room)?s",
        r"recamaras|habitaciones|dormitorios",
    ),
    "pets": (r"(doyouhave(any)?)?(pets?|animals?)(type)?|petdetails|pettypes?|mascotas?",),
}
#: Keys of text for the notes.
NOTES: Final = (
    r"(customer|additional|appointment|tour|renter)?(comments?|messages?|notes?|questions?|remarks?)"
    r"|comentarios?|mensaje|notas|observaciones|preguntas?|commentaires?"
    r"|bio|requirements|reason|(call)?summary|description|body|querytext|inputtranscript"
    r"|(body|message|comment|note)(text|content)|answers?|subject|utmsource|unit|unitnumber|listingunit|floorplan(name)?|work|leadtype"
)
#: Patterns for the values of some fields, for answers with any name.
VALUES: Final = {
    "email_1": re.compile(r"[^@\s]+@[^@\s]+\.[a-z]+"),
    "phone_1": re.compile(r"\+?1?[-. (]*[2-9]\d{2}[-. )]*\d{3}[-. ]*\d{4}"),
}
#: Answers that must not influence a booking, or that were not written by a person.
UNREAD: Final = re.compile(
    r"credit|income|smok|crimin|evict|race|religion|disab|children|famil|age$|gender|national"
    r"|ssn|birth|slug|tracker|submitsource|builddate|observer|eventid|timetosubmit|token|^path$"
    r"|fileserver|validatednew|uploadserver|^(to|from|cc|bcc)$"
)
Guesses = Mapping[str, Sequence[str]]


def matching_pattern(target: str, path: str) -> int | None:
    """Return the index of the first pattern for a field that a path's key matches, or None."""
    keys = key_of(path), owned_key(path)
    forms = enumerate(KEYS[target])
    return next((n for n, form in forms if any(re.fullmatch(form, key) for key in keys)), None)
