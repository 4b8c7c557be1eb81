"""Have we answered this before?

This room knows texts, vectors and bytes. It does not know chats, prices or wires, and it never
calls a model: what it needs of the outside stands in ``cache.ports``.
"""
