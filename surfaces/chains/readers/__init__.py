"""One small file per vendor family. Each offers ``matches(head) -> bool`` and ``read(...)``."""
