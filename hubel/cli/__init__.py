"""The command line: one small file per command; each parses, makes one call, prints."""
