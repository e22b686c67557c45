"""Arbitrage-free surfaces of vol: fitted, audited, and the local vol they imply."""
