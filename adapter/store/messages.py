"""Store messages that renters write after their guest card or tour has been created."""

import datetime as dt
from collections.abc import Iterable, Sequence

from adapter.models import Booking, Message, MessageState
from adapter.store.queries import Statements
from adapter.store.rows import Row, storable

#: The allowed transitions: for each state, the possible previous states.
MOVES = {
    MessageState.WAITING: (MessageState.SENDING,),
    # From unclear, if a late response arrives.
    MessageState.SUBMITTED: (MessageState.SENDING, MessageState.UNCLEAR),
    MessageState.SENT: (MessageState.SUBMITTED,),
    MessageState.UNCLEAR: (MessageState.WAITING, MessageState.SENDING, MessageState.SUBMITTED),
    MessageState.FAILED: (MessageState.WAITING, MessageState.SENDING, MessageState.SUBMITTED),
}


class Messages(Statements):
    """Reads and writes messages within a transaction."""

    def add(self, booking: Booking, now: dt.datetime, text: str | None = None) -> None:
        """Store a message for a merged or replaced booking, unless another is already waiting.

        If ``text`` is given, always store a message with exactly this text.
        """
        values = self._sealed(text) | {"booking_id": booking.id, "asked_at": booking.asked_at}
        self._run("insert_message", at=now, **values)

    def claim(self, now: dt.datetime, lease_until: dt.datetime) -> Message | None:
        """Claim the next due message until ``lease_until``, and return it.

        Return None if no message is due.
        """
        return self._message(self._one("claim_message", now=now, lease_until=lease_until))

    def lock(self, message_id: int) -> Message | None:
        """Lock and return a message, or return None if it was deleted."""
        return self._message(self._one("lock_message", id=message_id))

    def of_bookings(self, bookings: Iterable[Booking]) -> list[Message]:
        """Return the messages for bookings or their guest cards, in the order they are sent."""
        known = list(bookings)
        cards = [one.prospect_id for one in known if one.prospect_id is not None]
        ids = [one.id for one in known]
        rows = self._all("messages_of_bookings", ids=ids, prospect_ids=cards)
        return list(map(self._opened, rows))

    def of_event(self, event_id: int) -> tuple[Message, ...]:
        """Return the messages for an event's bookings, in the order they are sent."""
        return tuple(map(self._opened, self._all("messages_of_event", event_id=event_id)))

    def known_prospect(self, bookings: Iterable[Booking]) -> str | None:
        """Return the ID of the guest card that received the bookings' last message, or None."""
        return self._value("known_prospect", ids=[one.id for one in bookings])

    def begin(
        self,
        message: Message,
        text: str,
        prospect_id: str,
        *,
        now: dt.datetime,
        lease_until: dt.datetime,
    ) -> Message | None:
        """Record a message's POST before it is sent. Return None if the message is not waiting."""
        values = self._sealed(text) | {"prospect_id": storable(prospect_id), "id": message.id}
        return self._message(self._one("begin_message", at=now, lease_until=lease_until, **values))

    def move(
        self,
        message_id: int,
        to: MessageState,
        *,
        why: str,
        now: dt.datetime,
        due_at: dt.datetime | None = None,
        job_id: str | None = None,
    ) -> bool:
        """Change a message's state. Return False if its current state does not allow this."""
        return self._has(
            "move_message",
            id=message_id,
            to_state=to,
            from_states=[str(state) for state in MOVES[to]],
            why=why,
            at=now,
            due_at=due_at,
            job_id=job_id,
        )

    def hurry(self, bookings: Iterable[Booking], now: dt.datetime) -> None:
        """Make waiting messages due now because the state of their bookings has changed."""
        self._run("hurry_messages", ids=[one.id for one in bookings], now=now)

    def save_text(self, message: Message, text: str) -> None:
        """Save the text of an unsent message so that a user can add it in Knock."""
        self._run("save_words", id=message.id, **self._sealed(text))

    def record_prospect(self, message_id: int, prospect_id: str) -> None:
        """Save the ID of the guest card that a waiting message will be added to."""
        self._run("record_prospect_of_message", id=message_id, prospect_id=storable(prospect_id))

    def postpone(self, message_id: int, due_at: dt.datetime) -> None:
        """Set the time when a message is sent or checked next."""
        self._run("postpone_message", id=message_id, due_at=due_at)

    def bring_forward(self, until: dt.datetime) -> None:
        """Make all messages due by ``until``."""
        self._run("bring_messages_forward", until=until)

    def delete(self, message_id: int) -> None:
        """Delete a waiting message."""
        self._run("delete_message", id=message_id)

    def check_job(self, job_id: str, now: dt.datetime) -> None:
        """Make the message with this Propexo job ID due now, if there is one."""
        self._run("check_job_of_message", job_id=storable(job_id), now=now)

    def delete_waiting(self, event_ids: Sequence[int]) -> bool:
        """Delete the waiting messages of events. Return False if other messages are in flight."""
        self._run("delete_waiting_messages", ids=list(event_ids))
        return self._one("messages_in_flight", ids=list(event_ids)) is None

    def possibly_sent(self) -> list[Message]:
        """Return the messages that may have been sent after the backup was taken."""
        return [self._opened(row) for row in self._all("messages_possibly_sent")]

    def add_lost(
        self, job_id: str, prospect_id: str, text: str, sent_at: dt.datetime, now: dt.datetime
    ) -> None:
        """Store a note that was sent to Propexo but is missing from the restored database."""
        values = self._sealed(text) | {"asked_at": sent_at, "at": now}
        ids = {"job_id": storable(job_id), "prospect_id": storable(prospect_id)}
        self._run("insert_lost_message", **values, **ids)

    def _sealed(self, text: str | None) -> Row:
        body = storable(text).encode() if text is not None else None
        if body is None:
            return {"body": None, "encryption_key": None}
        row = self.connection.cipher.sealed({"headers": {}, "body": body})
        return {name: row[name] for name in ("body", "encryption_key")}

    def _message(self, row: Row | None) -> Message | None:
        return self._opened(row) if row else None

    def _opened(self, row: Row) -> Message:
        opened = self.connection.cipher.opened(row)
        names = Message.__slots__
        body = opened["body"]
        parsed = {"state": MessageState(row["state"]), "text": body.decode() if body else None}
        return Message(**{name: row[name] for name in names if name != "text"} | parsed)
