"""Alignment: the permutations that bring the members of a group of networks together.

The methods are frozen values in ``methods``; the verb is ``align``; one algorithm per file.
"""
