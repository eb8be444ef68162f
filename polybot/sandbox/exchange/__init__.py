"""The strict half of the sandbox: accounts, orders, matching, settlement, without HTTP."""
