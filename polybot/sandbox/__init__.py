"""A venue on this machine: the real protocols, a virtual clock, seeded or recorded prices.

What it answers is a function of (seed or recording, virtual instant) alone: no timer, no request
and no restart changes an answer. It keeps no orders; it imports no adapter.
"""
