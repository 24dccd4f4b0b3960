"""Execution: the driver, the executors it can use, and the bodies of the tasks they run.

This is the only package that imports ray, and only in its modules ``ray_*``.
"""
