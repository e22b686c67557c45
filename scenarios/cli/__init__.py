"""One module per family of commands; `gammawall.scenarios.cli.main` puts them together."""
