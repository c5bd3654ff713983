"""Test extracting the author's own text from an email, and the times that it mentions."""

import time

import pytest

from adapter.parsing.mail_text import is_forwarded, own_text
from adapter.parsing.sentences import sentence_with

LEAD = "Name: Dana Okafor\nEmail: dana.okafor@example.com\nTour: 03/14/2026 2:30 PM"
QUOTED = "\n".join(f"> {line}" for line in LEAD.splitlines())
OUTLOOK = (
    "From: Leasing <leasing@example.com>\nSent: Monday, March 2, 2026 11:04 AM\nTo: Dana Okafor"
)


def lines_of(text: str) -> list[str]:
    return [line for line in text.splitlines() if line]


REPLIES = {
    "Gmail": f"On Mon, Mar 2, 2026 at 11:04 AM Leasing <l@example.com> wrote:\n\n{QUOTED}",
    "Gmail, wrapped": f"On Mon, Mar 2, 2026 at 11:04 AM Leasing <\nl@example.com> wrote:\n{QUOTED}",
    "Gmail, without marks": f"On Mon, Mar 2, 2026 at 11:04 AM Leasing wrote:\n{LEAD}",
    "Gmail, French": f"Le lun. 2 mars 2026 à 11:04, Leasing <l@example.com> a écrit :\n{QUOTED}",
    "Gmail, Spanish": f"El lun, 2 mar 2026 a las 11:04, Leasing (<l@x.com>) escribió:\n{QUOTED}",
    "Apple Mail": f"On Mar 2, 2026, at 11:04 AM, Leasing <l@example.com> wrote:\n\n{QUOTED}",
    "Gmail, no-break spaces": (
        f"\u200eLe lun. 2 mars 2026 à 11:04\u202fAM, Leasing a écrit\u00a0:\n{QUOTED}"
    ),
    "Apple Mail, French": f"Le 2 mars 2026 à 11:04, Leasing a écrit :\n\n{QUOTED}",
    "Apple Mail, Spanish": f"El 2 mar 2026, a las 11:04, Leasing escribió:\n\n{QUOTED}",
    "Outlook": f"{OUTLOOK}\nSubject: Your tour\n\n{LEAD}",
    "Outlook, with a line": f"________________________________\n{OUTLOOK}\nSubject: Tour\n\n{LEAD}",
    "Outlook, bold": (
        f"*From:* Leasing <l@example.com>\n*Sent:* Monday 11:04\n*Subject:* Your tour\n\n{LEAD}"
    ),
    "Outlook, long recipients": (
        "From: Leasing\nSent: Monday 11:04\nTo: Dana <dana@example.com>,\n"
        f" Sam <sam@example.com>\nSubject: Your tour\n\n{LEAD}"
    ),
    "Outlook, French": f"De : Leasing\nEnvoyé : lundi 2 mars\nÀ : Dana\nObjet : Visite\n\n{LEAD}",
    "Outlook, Spanish": (
        f"De: Leasing\nEnviado el: lunes, 2 de marzo de 2026\nPara: Dana\nAsunto: Visita\n\n{LEAD}"
    ),
    "older Outlook": f"-----Original Message-----\n{OUTLOOK}\nSubject: Your tour\n\n{LEAD}",
    "older Outlook, French": f"-----Message d'origine-----\nDe : Leasing\n\n{LEAD}",
    "older Outlook, Spanish": f"-----Mensaje original-----\nDe: Leasing\n\n{LEAD}",
    "only marks": QUOTED,
}


@pytest.mark.parametrize("name", REPLIES)
def test_a_quoted_email_is_left_out(name: str) -> None:
    assert own_text(f"Can I come on Sunday?\n\n{REPLIES[name]}").strip("\n_ ") == (
        "Can I come on Sunday?"
    )


@pytest.mark.parametrize("html", [True, False])
def test_a_reply_below_or_between_the_quotes_is_kept(html: bool) -> None:
    quote = f"On Mar 2, 2026, at 11:04 AM, Leasing wrote:\n{QUOTED}"
    mail = f"{quote}\n\nSunday, please.\n{QUOTED}\nThanks"
    if html:
        mail = mail.replace(">", "&gt;").replace("\n", "<br>")
    assert own_text(mail).split() == ["Sunday,", "please.", "Thanks"]


def test_quotes_in_html_are_left_out() -> None:
    gmail = (
        '<div dir="ltr">Can I come on Sunday?</div><br><div class="gmail_quote"><div>On Mon, '
        "Mar 2, 2026 at 11:04 AM Leasing &lt;<a href='mailto:l@example.com'>l@</a>&gt; wrote:"
        "<br></div><blockquote>Name: Dana Okafor<br>Tour: 03/14/2026 2:30 PM</blockquote></div>"
    )
    outlook = (
        "<p>Can I come on Sunday?</p><hr><p><b>From:</b> Leasing<br><b>Sent:</b> Monday 11:04<br>"
        "<b>To:</b> Dana<br><b>Subject:</b> Your tour</p><p>Tour: 03/14/2026 2:30 PM</p>"
    )
    assert own_text(gmail) == own_text(outlook) == "Can I come on Sunday?"


HEADERS = (
    "From: Portal <lead@portal.example.com>\nDate: Mon, Mar 2, 2026 at 11:04 AM\n"
    "Subject: Lead\nTo: <l@example.com>"
)
FORWARDS = {
    "Gmail": f"---------- Forwarded message ---------\n{HEADERS}\n\n\n{LEAD}",
    "Gmail, French": f"-------- Message transféré --------\nDe : Portal\nDate : 2 mars\n\n{LEAD}",
    "Gmail, Spanish": f"------- Mensaje reenviado -------\nDe: Portal\nPara: Leasing\n\n{LEAD}",
    "Apple Mail": f"Begin forwarded message:\n\n{HEADERS}\n\n{LEAD}",
    "Apple Mail, quoted": (
        "Begin forwarded message:\n\n"
        + "\n".join(f"> {line}".strip() for line in f"{HEADERS}\n\n{LEAD}".splitlines())
    ),
    "Apple Mail, French": f"Début du message transféré :\n\nDe: Portal\nObjet: Lead\n\n{LEAD}",
    "Apple Mail, Spanish": f"Inicio del mensaje reenviado:\n\nDe: Portal\nAsunto: Lead\n\n{LEAD}",
    "Thunderbird": f"-------- Forwarded Message --------\n{HEADERS}\n\n{LEAD}",
}


@pytest.mark.parametrize("comment", ["", "FYI, see below.\n\n"])
@pytest.mark.parametrize("name", FORWARDS)
def test_a_forwarded_lead_is_kept_without_its_headers(name: str, comment: str) -> None:
    kept = own_text(comment + FORWARDS[name])

    assert lines_of(kept) == [*lines_of(comment), *lines_of(LEAD)]


@pytest.mark.parametrize(
    "name", ["Outlook", "Outlook, French", "Outlook, Spanish", "older Outlook"]
)
def test_the_subject_says_that_outlook_forwards(name: str) -> None:
    text = f"FYI\n\n{REPLIES[name]}"

    assert own_text(text) == "FYI"
    assert lines_of(own_text(text, forwarded=True)) == ["FYI", *lines_of(LEAD)]


def test_a_conversation_below_a_forwarded_lead_is_left_out() -> None:
    mail = f"{FORWARDS['Gmail']}\n\nOn Sun, Mar 1, 2026 at 9:00 AM Sam wrote:\n> Name: Sam Reyes"
    assert own_text(mail) == own_text(mail, forwarded=True) == LEAD


@pytest.mark.parametrize(
    "text",
    [
        QUOTED,
        REPLIES["Outlook"],
        REPLIES["Gmail"],
        f"Sent from my iPhone\n\n{REPLIES['Outlook']}",
        f"\n  \n________________\n{REPLIES['older Outlook']}",
        "",
        "Name: Dana Okafor\nDate: 03/14/2026\nFrom: Denver\nOn March 14 we came.",
        "From: Dana Okafor\nSubject: A tour\n\nIs it available?",
    ],
)
def test_the_whole_text_is_kept_if_nothing_else_is_left(text: str) -> None:
    assert own_text(text) == text


@pytest.mark.parametrize(
    ("subject", "forwarded"),
    [
        ("Fwd: New lead", True),
        ("FW: New lead", True),
        ("TR : Visite", True),
        ("RV: Visita", True),
        ("Re: Fwd: New lead", False),
        ("RE: New lead", False),
        ("Forward Street 12", False),
        ("", False),
    ],
)
def test_the_subject_of_a_forwarded_email(subject: str, forwarded: bool) -> None:
    assert is_forwarded(subject) is forwarded


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Hi! Could I view Thursday around 6-7pm? Thanks.", "Could I view Thursday around 6-7pm?"),
        ("Is 2 p.m. on Saturday fine", "Is 2 p.m. on Saturday fine"),
        ("Hello.\nSaturday at 2 works\nfor me", "Saturday at 2 works"),
        ("We are free Saturday morning.", "We are free Saturday morning."),
        ("<p>Hi</p><p>Can we come at noon?</p>", "Can we come at noon?"),
        ("¿Puedo visitar el sábado a las 2? Gracias", "¿Puedo visitar el sábado a las 2?"),
        ("Une visite à 14h30 ?", "Une visite à 14h30 ?"),
        ("2026-03-14 14:30", "2026-03-14 14:30"),
        ("Is it available? My budget is $1,800, 2 bedrooms, 1:1 parking, May 1.", None),
        (
            "I live at 12 Maple Street, call 303-555-0142. See https://example.com:8080/10:30am",
            None,
        ),
        ("", None),
        ("<requestdate>2026-03-02T11:04:09-07:00</requestdate>", None),
        ("*Lead received:* 3/2/2026 11:04 AM\nSubmitted on 3/2 at 11:04 AM", None),
        ("Received: 11:04 AM\nCan I come at 2 PM?", "Can I come at 2 PM?"),
        ("Sent you a text. Sent Sam too: is 2 PM fine?", "Sent Sam too: is 2 PM fine?"),
        ("Office hours: 9:00 AM to 6:00 PM", None),
        ("Our office hours are 9 AM to 6 PM. Saturday at 2?", "Saturday at 2?"),
        ("Hours: Mon-Fri 9am-6pm", None),
        ("We are open from 9 AM to 6 PM", None),
        ("Open Monday to Friday 9:00 AM - 6:00 PM", None),
        ("The leasing office is open 9 AM to 6 PM daily", None),
        ("Tours run from 9 AM to 6 PM.", None),
        ("Horario: lunes a viernes 9:00 - 18:00", None),
        ("Nuestro horario es de 9:00 a 18:00", None),
        ("Horario de oficina 9 am a 6 pm", None),
        ("We are open to any time after 3 PM", "We are open to any time after 3 PM"),
        ("Horario preferido: 10:00", "Horario preferido: 10:00"),
        ("Llego a las tres de la tarde", "Llego a las tres de la tarde"),
        ("Entre 2 y 4 de la tarde", "Entre 2 y 4 de la tarde"),
        ("How about half past two on Friday", "How about half past two on Friday"),
        ("2ish on Saturday?", "2ish on Saturday?"),
    ],
)
def test_the_sentence_with_a_time(text: str, sentence: str | None) -> None:
    assert sentence_with("time", text) == sentence


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "Hi. I need to cancel my tour on Saturday. Sorry!",
            "I need to cancel my tour on Saturday.",
        ),
        ("Sorry, I can't make it", "Sorry, I can't make it"),
        ("Could we re-schedule?", "Could we re-schedule?"),
        ("Necesito cancelar la visita.", "Necesito cancelar la visita."),
        ("Je dois annuler la visite.", "Je dois annuler la visite."),
        *[
            (text, text)
            for text in (
                "I won't be able to make it",
                "I can no longer come on Saturday",
                "Can't do Saturday anymore",
                "I have to call off the tour",
                "Can we move it to Sunday?",
                "Could I change my tour to Sunday?",
                "We're running late, can we push it back an hour?",
                "Something came up, can we do another day",
                "Ya no podré ir el sábado",
                "No puedo ir el sábado",
                "No puedo asistir a la visita",
                "No voy a poder llegar mañana",
                "¿Podríamos reagendar?",
                "Quiero cambiar la fecha",
                "¿Podemos cambiar la cita para otro día?",
                "Me gustaría mover mi visita al lunes",
                "Cancela la visita",
                "Je ne pourrai pas venir samedi",
                "Je ne peux pas venir",
            )
        ],
        ("What is your cancellation policy? Can you come?", None),
        ("I want to move in on May 1. Is there another time for pets?", None),
        ("Can I change my unit to a corner one? I can't wait to come.", None),
        ("Me gustaría cambiar de apartamento. No puedo esperar.", None),
    ],
)
def test_the_sentence_that_cancels_or_moves_a_tour(text: str, sentence: str | None) -> None:
    assert sentence_with("change", text) == sentence


def test_a_sentence_is_shortened() -> None:
    found = sentence_with("time", f"{'word ' * 1000} 2 PM {'word ' * 1000}")
    assert found is not None
    assert "2 PM" in found
    assert len(found) < 420


@pytest.mark.parametrize(
    "line",
    ["On 1\n", "From: a\n", "From: a\nSent: b,\nTo: c,\n", "> ", ">\n", "Forwarded message\n> \n",
     "-----Original Message-----\n", "Le 1 <\n", "saturday ", "can't ", "a las ", "1:", "<p>",
     "our office ", "no puedo ", "\n"],
)  # fmt: skip
def test_hostile_emails_take_linear_time(line: str) -> None:
    def seconds(length: int) -> float:
        text = (line * length)[: 20 * length]
        started = time.thread_time()
        own_text(text)
        sentence_with("time", text)
        sentence_with("change", text)
        return time.thread_time() - started

    short = min(seconds(1250) for _ in range(3))
    assert min(seconds(5000) for _ in range(3)) < 8 * short + 0.05


@pytest.mark.parametrize(
    "start", ["Forwarded message", "-----Original Message", "Mensaje reenviado"]
)
def test_a_long_line_of_dashes_takes_little_time(start: str) -> None:
    line = start + 50_000 * "-" + ":" + 50_000 * "-" + "x"
    started = time.thread_time()
    assert own_text(line) == line
    assert time.thread_time() - started < 1.0
