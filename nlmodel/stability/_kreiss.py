def kreiss_constant(G):
    from nlmodel.spectrum import kreiss_constant
    return kreiss_constant(G)
