"""A sandbox for Propexo's API and the Knock account behind it.

Use it to try the adapter, to develop a mapping and to train people; the tests book in it over real
HTTP. Propexo offers no Knock sandbox of its own. This one behaves as follows:

- It validates a body as strictly as Propexo's published limits allow and returns errors in
  Propexo's shape. Propexo publishes no values for ``pets``, ``first_contact_type`` and
  ``tour_type``: every value is rejected unless it was passed to :func:`create_app`.
- A write returns a job at once. The job is PENDING for some time, then ends. The appointment
  exists in Knock from the moment the write is accepted.
- Knock identifies a person at a community by email or phone, overwrites the card with the latest
  data, cancels the upcoming tour when another is booked, and emails a confirmation for each. Two
  people who share a contact therefore become one card. See ``docs/knock.md``.
- ``/_sandbox/…`` lists appointments, guest cards and requests, and injects faults into the next
  requests.

Everything is kept in memory and lost when the process ends.
"""

from adapter.sandbox.app import create_app
from adapter.sandbox.server import Server, serve

__all__ = ["Server", "create_app", "serve"]
