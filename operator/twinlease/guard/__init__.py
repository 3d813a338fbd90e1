"""PID 1 of the server container and parent of the DHCP server. Small, standard library only, holds the capabilities.

It runs as a copy of the interpreter with file capabilities that are permitted but not effective, and raises none of
them today: the server gets its own through its file capabilities, within what its parent is permitted. Therefore
nothing may stand between the two (a shell or a wrapper program would lose the permitted set).
"""
