"""The Helm chart: rendered, judged by a real API server, installed by the real Helm."""
