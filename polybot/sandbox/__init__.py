"""A venue on this machine: the real protocols, a virtual clock, seeded or recorded prices.

What the public half answers is a function of (seed or recording, virtual instant) and of the
orders that were sent; what the private half answers depends on the order of requests as well. No
timer changes an answer. It keeps orders in memory alone, and imports no adapter.
"""
