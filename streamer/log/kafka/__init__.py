"""The control log on Kafka, for jobs whose parts run on several machines.

One machine needs no broker, so nothing here is imported unless a cluster is named; what it needs is the extra `kafka`.
"""
