"""One file per wire protocol that models are reached through."""
