"""Run the hostile test: seeded hostile requests, a concurrent genuine sender, and an audit.

    python -m tools.hostile --requests 300 --payloads 3000 --seed 7

``payloads`` changes the samples of every mapping, ``in_process`` maps them, ``attacks`` generates
the requests, ``strangers`` sends them, ``slow`` holds slow connections open, ``genuine`` posts
signed leads at a steady rate, ``stage`` runs the processes, and ``audit`` compares the results with
the promises. Each request and payload depends only on the seed and its number.
"""
