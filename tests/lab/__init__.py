"""A real Kubernetes cluster of three nodes on one machine, and the ways to break it.

`Lab` (in `tests.lab.cluster`) is the whole cluster, `ApiServer` (in `tests.lab.apiserver`) is an API server on its own.
The command line is `python -m tests.lab`. Every name, address and port of the lab is in `tests.lab.model`.
"""
