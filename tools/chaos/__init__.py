"""Run the chaos test: real processes, made-up leads, seeded random faults, and a final audit.

    python -m tools.chaos --rounds 2 --seed 7

``leads`` generates the requests, ``senders`` sends them as lead sources do, ``renters`` chooses
times on the renter pages, ``agents`` changes tours in Knock, ``faults`` breaks the running
processes, ``stage`` holds the processes, ``watch`` measures how long any row was idle, ``record``
collects the final state from all sides, and ``audit`` and ``later_audit`` check it.
"""
