"""The service: it owns the path of a request, from the wire to the ledger.

Read ``router.pipeline`` first; ``router.app`` says what is joined to what.
"""
