"""The chaos harness: real processes, real leads, faults by a seeded draw, and an audit at the end.

    python -m tools.chaos --rounds 2 --seed 7

``leads`` draws who asks for what, ``senders`` sends it as lead sources do, ``faults`` breaks what
runs meanwhile, ``stage`` holds the processes, ``watch`` measures how long anything stood still,
``record`` collects what everybody says afterwards, and ``audit`` compares it.
"""
