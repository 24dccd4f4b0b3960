"""Points where two neurons of a layer are one, and the paths that lead there (Brea et al. 2019)."""
