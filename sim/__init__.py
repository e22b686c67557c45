if __name__ != "gammawall.sim":
    raise ImportError("import this package as gammawall.sim: a second name would be a second copy of every class")
