"""What a client sees."""

# Before any type that names one: Strawberry would register an enum that it meets a second time.
from assistant.api import enums  # noqa: F401
