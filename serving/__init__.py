"""The doors: the command line and the HTTP service. Knows how answers look, not how they are found."""
