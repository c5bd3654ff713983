"""Recognize the columns in a portal's list by name."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from adapter.exceptions import PayloadError
from adapter.mapping.portal_yaml import PortalRules

#: Usual names of each field's column, in lower case without spaces and punctuation. If several are
#: in the list, the first one is read.
NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    field: tuple(names.split())
    for field, names in {
        "date": (
            "leaddate dateoflead leadcreated leadcreateddate leadcreatedat leadsubmitted "
            "leadreceived leaddatetime leadtime inquirydate contactdate calldate receiveddate "
            "datereceived receivedat received createddate datecreated createdat created submitted "
            "submittedat datesubmitted eventdate datetime timestamp date"
        ),
        "name": (
            "rentername leadname contactname prospectname consumername customername guestname "
            "callername fullname renter name"
        ),
        "first_name": "firstname renterfirstname leadfirstname contactfirstname first",
        "last_name": "lastname renterlastname leadlastname contactlastname surname last",
        "email": (
            "renteremail leademail contactemail prospectemail consumeremail customeremail "
            "renteremailaddress emailaddress email mail"
        ),
        "phone": (
            "renterphone leadphone contactphone prospectphone consumerphone customerphone "
            "renterphonenumber callerphone callernumber callerid phonenumber phone telephone "
            "mobilephone mobile cellphone cell"
        ),
        "lead_id": (
            "leadid leadnumber leadno inquiryid contactid referenceid reference transactionid "
            "confirmationnumber id"
        ),
        "community": (
            "communityname propertyname buildingname listingname community property building "
            "listing propertyid communityid listingid propertyaddress listingaddress"
        ),
        "amount": (
            "leadcost leadprice leadcharge leadfee amountcharged chargeamount amountbilled "
            "netamount amountdue amountusd amount charge charged cost fee price costperlead "
            "priceperlead total linetotal"
        ),
    }.items()
}
#: Each of these fields is enough to compare a lead.
COMPARED: Final = frozenset({"name", "first_name", "last_name", "email", "phone", "lead_id"})
_ORDER: Final = {name: number for names in NAMES.values() for number, name in enumerate(names)}
_FIELD_OF: Final = {name: field for field, names in NAMES.items() for name in names}


def plain(name: str) -> str:
    """Return a column name in lower case, without spaces or punctuation."""
    return re.sub(r"[\W_]+", "", name).casefold()


def known_columns(cells: Sequence[str], rules: PortalRules) -> int:
    """Count the cells that contain known column names. The header row has the most."""
    named = {plain(name) for names in rules.columns.values() for name in names}
    # A name in the rules counts more, so that its row is found whatever the other rows contain.
    return sum((plain(cell) in _FIELD_OF) + 3 * (plain(cell) in named) for cell in cells)


def find_columns(cells: Sequence[str], rules: PortalRules) -> Mapping[str, Sequence[int]]:
    """Return the column indexes for each field.

    Raise PayloadError, with the columns found, if there is nothing to compare or if a column is
    missing that the rules name.
    """
    found = dict(_named(cells, rules)) | {
        field: [index] for field, index in _recognized(cells, rules).items()
    }
    if not COMPARED & found.keys():
        raise PayloadError(
            "no column with the renters' emails, phones, names or lead IDs was recognized; "
            + _found_text(cells)
        )
    return found


def _named(cells: Sequence[str], rules: PortalRules) -> Iterator[tuple[str, list[int]]]:
    indexes = {plain(cell): index for index, cell in enumerate(cells)}
    for field, names in rules.columns.items():
        for name in names:
            if plain(name) not in indexes:
                text = f"there is no column {name!r}, which --columns sets for {field}; "
                raise PayloadError(text + _found_text(cells))
        yield field, [indexes[plain(name)] for name in names]


def _recognized(cells: Sequence[str], rules: PortalRules) -> dict[str, int]:
    best: dict[str, tuple[int, int]] = {}
    for index, cell in enumerate(cells):
        field = _FIELD_OF.get(plain(cell))
        if field is not None and field not in rules.columns:
            best[field] = min(best.get(field, (len(_ORDER), 0)), (_ORDER[plain(cell)], index))
    return {field: index for field, (_, index) in best.items()}


def _found_text(cells: Sequence[str]) -> str:
    names = ", ".join(cell[:40] for cell in cells if cell) or "none"
    return f"the columns found are: {names}. Name them in the portal's file (--columns)"
