ANY = type("Any", (str,), {"__ne__": lambda self, other: False})("*")
