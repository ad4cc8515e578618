"""A door for OpenAI's clients: its wire format over the same pipeline.

What is read, ignored and refused is told in docs/openai.md.
"""
