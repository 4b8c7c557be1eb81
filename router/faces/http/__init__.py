"""The HTTP face: what OpenAI's and Anthropic's clients speak, through the same pipeline.

::

    server            limits, routes, errors; one flow for every API
    words             x-scrimp-* headers and metadata -> attribution, cache control, wishes
    names             a request's model -> pinned, or routed under it
    problems          errors -> what each API calls them
    api               what an API has to know: how it asks, and how it answers
    chat_completions  OpenAI's chat completions
    responses         OpenAI's responses
    messages          Anthropic's messages
    embeddings        OpenAI's embeddings, of the built-in encoder
"""
