"""Random networks between random networks: theorem 3.1 of Entezari et al. 2021, measured."""
