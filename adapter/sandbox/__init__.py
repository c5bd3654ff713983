"""A sandbox for Propexo's API with a simulated Knock account.

Use it to try the adapter, develop a mapping or train users. The tests use it over real HTTP.
Propexo does not offer a Knock sandbox. This one behaves as follows:

- It validates a body as strictly as Propexo's published limits allow and returns errors in
  Propexo's shape. Propexo publishes no values for ``pets``, ``first_contact_type`` and
  ``tour_type``: every value is rejected unless it was passed to :func:`create_app`.
- A write returns a job at once. The job is PENDING for some time before it ends. The appointment
  exists in Knock as soon as the write is accepted.
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
