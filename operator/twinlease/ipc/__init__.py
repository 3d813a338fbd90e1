"""The protocol between sidecar and guard over a Unix socket: versioned, strict, standard library only."""
