if __name__ != "gammawall.scenarios":
    raise ImportError("import this package as gammawall.scenarios: a second name would be a second copy of every class")
