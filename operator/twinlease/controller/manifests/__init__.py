"""The objects that make up a pair, as pure functions: what the operator wants, never what is."""
