"""One reader per source of data: each a function of (raw folder, options) that returns a Source."""
