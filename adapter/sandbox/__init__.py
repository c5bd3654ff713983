"""Simulate Propexo's API and a Knock account behind it.

Propexo does not offer a sandbox for Knock. Use this one to try the adapter, develop a mapping
or train users. The tests call it over real HTTP. It behaves as follows:

- It validates a body as strictly as Propexo's published limits allow and returns errors in
  Propexo's shape. Propexo does not publish the values of ``pets``, ``first_contact_type`` and
  ``tour_type``, so every value is rejected unless it was passed to :func:`create_app`.
- A write immediately returns a job, which stays PENDING for some time before it ends. The
  appointment exists in Knock as soon as the write is accepted.
- Knock identifies a person at a community by email or phone, overwrites the card with the latest
  data, cancels the upcoming tour when another is booked, and emails a confirmation for each. Two
  people with the same email or phone therefore share one card. See ``docs/knock.md``.
- ``/_sandbox/…`` lists appointments, guest cards, notes and requests, and injects faults into the
  next requests.

All data is kept in memory and lost when the process ends.
"""

from adapter.sandbox.app import create_app
from adapter.sandbox.server import Server, serve

__all__ = ["Server", "create_app", "serve"]
