"""Pages of the command line, from facts to what a console prints. Pure: no API, no clock, no terminal."""
