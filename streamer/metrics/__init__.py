"""What an instance counts, and the values in which others see it: samples for controller, view and autoscaler.

Counting happens on the hot path, a few additions per frame; names, labels and text exist only where somebody asks
(`exposition`).
"""
