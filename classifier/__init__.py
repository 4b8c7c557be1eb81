"""The small models: text to vector, prompt to P(adequate), many waiting calls to one run.

The room touches onnxruntime, tokenizers, numpy and the artifact files beside it, and knows
nothing of caches, chats, prices or the wire.
"""
