"""assistant: a federated GraphQL subgraph through which a company uses language models."""

__version__ = "0.1.0"
