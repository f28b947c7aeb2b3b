"""The configuration: its schema, what is refused, how it is composed, and which run it is."""
