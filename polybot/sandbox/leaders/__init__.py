"""Other people's wallets in the sandbox: what they do, and who tells of it how late.

What a wallet does is a function of (seed, wallet, window, virtual instant) and of what was asked
for by hand; polling changes nothing. The wallets trade at the sandbox's quotes but take nothing
from its book, and no money of theirs is kept: whoever needs a counterparty gets a stranger.
"""
