"""Define baselines for mappings. They only read the same fields from the same bytes.

They are written by hand, like a script for a single sender, without cleaning, checks, notes or
times.
"""

import json
from typing import Any


def rentfeed(body: bytes) -> dict[str, Any]:
    payload = json.loads(body)
    listing, contact, tour = payload["listing"], payload["contact"], payload["tour"]
    wishes = payload["preferences"]
    return {
        "event": payload["eventType"],
        "test": payload["isTest"],
        "key": payload["leadId"],
        "community": listing["propertyId"],
        "community_name": listing["propertyName"],
        "name": contact["name"],
        "email_1": contact["email"],
        "phone_1": contact["mobile"] or contact["phone"],
        "date": tour["date"],
        "time": tour["time"],
        "tour_type": tour["type"],
        "move_in_date": wishes["moveIn"],
        "number_of_occupants": wishes["occupants"],
        "lease_term_in_months": wishes["leaseTerm"],
        "rent_minimum_in_cents": wishes["minRent"],
        "rent_maximum_in_cents": wishes["maxRent"],
        "desired_num_bedrooms": wishes["bedrooms"],
        "pets": wishes["pets"],
        "notes": [payload["comments"], listing["unit"]],
    }


def leasebot(body: bytes) -> list[dict[str, Any]]:
    payload = json.loads(body)
    visitor, handoff = payload["visitor"], payload["handoff"]
    slots = json.loads(handoff["slots"])
    return [
        {
            "event": payload["type"],
            "reason": handoff["reason"],
            "key": [payload["conversation"]["id"], tour["id"]],
            "community": tour["property"],
            "first_name": visitor["firstName"],
            "last_name": visitor.get("lastName") or visitor["firstName"],
            "email_1": visitor.get("email"),
            "phone_1": visitor.get("phone"),
            "starts_at": tour["startsAt"],
            "timezone": payload["conversation"]["timezone"],
            "tour_type": tour["mode"],
            "desired_num_bedrooms": slots.get("beds"),
            "rent": slots.get("budget"),
            "move_in_date": slots.get("move in"),
            "pets": slots.get("pets"),
            "notes": [line["text"] for line in payload["transcript"]],
        }
        for tour in handoff["tours"]
    ]


def website(body: bytes) -> dict[str, Any]:
    payload = json.loads(body)
    response = payload["form_response"]
    answers = {answer["field"]["ref"]: answer for answer in response["answers"]}
    fields = {ref: answer[answer["type"]] for ref, answer in answers.items()}
    hidden = response["hidden"]
    read = {"event": payload["event_type"], "key": response["token"]}
    return read | fields | {"community": hidden["community"], "found": hidden["utm_source"]}
