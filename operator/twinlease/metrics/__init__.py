"""What is measured: one table of all series, collectors that read at the scrape, and the HTTP endpoint."""
