"""What providers say of our usage: the files that one gets from their APIs and pages."""
