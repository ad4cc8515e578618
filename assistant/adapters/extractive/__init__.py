"""What can be read out of a text without generating any: summary, title, keywords, label, answer."""
