"""An archive of the plugin for krew."""
