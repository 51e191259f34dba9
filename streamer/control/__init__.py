"""The control plane: what is started, told, restarted and ended, and when.

`step` decides and is pure; the hosts do its input and output and decide nothing. `jobs` holds what others see of a job.
"""
