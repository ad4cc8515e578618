"""Use cases, built on the domain and its ports."""
