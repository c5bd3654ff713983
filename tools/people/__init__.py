"""Test the rules about people with random sequences of actions by senders, users and Propexo.

    python -m tools.people --sequences 10000 --seed 7

``steps`` defines the steps of a sequence: a person, an action and a source. ``world`` runs a
sequence with the real pipeline, PostgreSQL and the sandbox. ``promises`` checks the result against
the rules, based on a small independent model of a person's latest request. ``story`` prints a
sequence for readers. ``sequences`` defines named sequences and generates random ones.
"""
