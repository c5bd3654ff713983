"""The stand-in for Propexo's API, and for Knock behind it.

It is there to try the adapter, to develop a mapping and to train people, and the tests book in it
over real HTTP. Propexo offers no Knock sandbox of its own. What it does:

- It checks a body as strictly as Propexo's published limits allow, and refuses in Propexo's shape.
  The values of ``pets``, ``first_contact_type`` and ``tour_type`` are in no published page: every
  value is refused until :func:`create_app` is told which to take.
- A write answers at once with a job, which goes from PENDING to its end when its time has passed.
  The appointment stands in Knock from the moment the write is taken.
- Knock knows a person at a community by e-mail or phone, overwrites the card with what came last,
  cancels the upcoming tour when another comes, and mails a confirmation for each.
- ``/_sandbox/…`` shows what stands, what was called, and takes faults for the next calls.

The memory is in the process and ends with it.
"""

from adapter.sandbox.app import create_app
from adapter.sandbox.server import Server, serve

__all__ = ["Server", "create_app", "serve"]
