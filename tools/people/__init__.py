"""Test rules about people with random sequences of sender, user and Propexo actions.

    python -m tools.people --sequences 10000 --seed 7

``steps`` has the words of a sequence: who does what, through which source. ``world`` plays one on
the real pipeline, PostgreSQL and the sandbox. ``promises`` compares the end with what was promised,
from its own small model of a person's last word. ``story`` prints a sequence for a reader, and
``sequences`` has named ones and draws others at random.
"""
