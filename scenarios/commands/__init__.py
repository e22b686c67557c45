"""One module per family of commands; `gammawall.scenarios.cli` puts them together."""
