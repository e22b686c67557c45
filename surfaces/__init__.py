if __name__ != "gammawall.surfaces":
    raise ImportError("import this package as gammawall.surfaces: a second name would be a second copy of every class")
