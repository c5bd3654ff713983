"""Provide the texts of the pages for renters, in English and Spanish."""

from collections.abc import Mapping
from typing import Final

from adapter.mapping.renter_language import ENGLISH, SPANISH

_ENGLISH: Final = {
    "choose": "Choose a time for your tour",
    "change": "Choose another time",
    "local": "All times are local time at {community}.",
    "times": "{count} open times",
    "one_time": "1 open time",
    "no_times": "No times are available to book online right now. The team at {community} will "
    "contact you.",
    "confirm": "Book this tour?",
    "confirm_what": "The tour is at {community}. You will get a confirmation when it is booked.",
    "confirm_move": "Move your tour?",
    "confirm_move_what": "This replaces your tour on {tour}. You will get a new confirmation.",
    "book": "Book this tour",
    "move": "Move my tour",
    "back": "Choose another time",
    "name": "Your first and last name",
    "name_missing": "Enter your first and last name so that the team knows who is coming.",
    "waiting": "We are booking your tour",
    "waiting_what": "You requested a tour for {tour}. This usually takes less than a minute. You "
    "will get a confirmation.",
    "reload": "Check again",
    "booked": "Your tour is booked",
    "booked_what": "{community} is expecting you on {tour}.",
    "cancel": "Cancel my tour",
    "cancel_sure": "Cancel your tour?",
    "cancel_what": "We will cancel your tour on {tour} at {community}.",
    "keep": "Keep my tour",
    "canceling": "We will cancel your tour",
    "canceling_what": "The team at {community} will cancel your tour on {tour}. You don't need to "
    "do anything else.",
    "canceled": "Your tour on {tour} is canceled.",
    "not_booked": "We could not book your tour on {tour}. Please choose another time.",
    "team": "We have your request",
    "team_what": "The team at {community} will contact you.",
    "team_tour": "You requested a tour for {tour}. The team at {community} will confirm it.",
    "passed": "This tour is over",
    "passed_what": "To schedule another tour, contact {community}.",
    "taken": "That time is no longer available. Please choose another one.",
    "meanwhile": "Your tour has changed since you opened this page. Here is its current status.",
    "old_form": "This page was open for too long. Please try again.",
    "changed_title": "This link does not work",
    "changed": "The link is incomplete or was changed. Open it again from the message that you "
    "received.",
    "expired_title": "This link has expired",
    "expired": "Please contact the community to schedule a tour.",
    "gone_title": "This request is closed",
    "gone": "Please contact the community to schedule a tour.",
    "busy_title": "Please wait a moment",
    "busy": "This page was opened too many times. Try again in a minute.",
    "failed_title": "Please try again in a minute",
    "failed": "The page could not be loaded. Nothing was changed.",
    "other_language": "Español",
}
_SPANISH: Final = {
    "choose": "Elija el horario de su visita",
    "change": "Elija otro horario",
    "local": "Todos los horarios están en la hora local de {community}.",
    "times": "{count} horarios",
    "one_time": "1 horario",
    "no_times": "Por el momento no se pueden reservar visitas en línea. El equipo de {community} "
    "se comunicará con usted.",
    "confirm": "¿Reservar esta visita?",
    "confirm_what": "La visita será en {community}. Recibirá una confirmación cuando esté "
    "reservada.",
    "confirm_move": "¿Cambiar su visita?",
    "confirm_move_what": "Esta visita reemplazará la del {tour} Recibirá una nueva confirmación.",
    "book": "Reservar esta visita",
    "move": "Cambiar mi visita",
    "back": "Elegir otro horario",
    "name": "Su nombre y apellido",
    "name_missing": "Escriba su nombre y apellido, para que el equipo sepa quién viene.",
    "waiting": "Estamos reservando su visita",
    "waiting_what": "Usted pidió una visita para el {tour} La reserva suele tardar menos de "
    "un minuto. Recibirá una confirmación.",
    "reload": "Actualizar",
    "booked": "Su visita está reservada",
    "booked_what": "El equipo de {community} le espera el {tour}",
    "cancel": "Cancelar mi visita",
    "cancel_sure": "¿Cancelar su visita?",
    "cancel_what": "Cancelaremos su visita a {community} del {tour}",
    "keep": "Mantener mi visita",
    "canceling": "Cancelaremos su visita",
    "canceling_what": "El equipo de {community} cancelará su visita del {tour} No tiene que hacer "
    "nada más.",
    "canceled": "Su visita del {tour} fue cancelada.",
    "not_booked": "No pudimos reservar su visita del {tour} Por favor, elija otro horario.",
    "team": "Recibimos su solicitud",
    "team_what": "El equipo de {community} se comunicará con usted.",
    "team_tour": "Usted pidió una visita para el {tour} El equipo de {community} la confirmará.",
    "passed": "Esta visita ya pasó",
    "passed_what": "Para acordar otra visita, comuníquese con {community}.",
    "taken": "Ese horario ya no está disponible. Por favor, elija otro.",
    "meanwhile": "Su visita cambió desde que abrió esta página. Este es su estado actual.",
    "old_form": "Esta página estuvo abierta demasiado tiempo. Por favor, inténtelo de nuevo.",
    "changed_title": "Este enlace no funciona",
    "changed": "El enlace está incompleto o fue modificado. Ábralo de nuevo desde el mensaje que "
    "recibió.",
    "expired_title": "Este enlace venció",
    "expired": "Por favor, comuníquese con la comunidad para acordar una visita.",
    "gone_title": "Esta solicitud está cerrada",
    "gone": "Por favor, comuníquese con la comunidad para acordar una visita.",
    "busy_title": "Espere un momento, por favor",
    "busy": "Esta página se abrió demasiadas veces. Inténtelo de nuevo en un minuto.",
    "failed_title": "Inténtelo de nuevo en un minuto, por favor",
    "failed": "No se pudo cargar la página. No se cambió nada.",
    "other_language": "English",
}

#: The texts by language and name. ``{tour}`` is a tour's time, which ends with a period in Spanish.
TEXTS: Final[Mapping[str, Mapping[str, str]]] = {ENGLISH: _ENGLISH, SPANISH: _SPANISH}
