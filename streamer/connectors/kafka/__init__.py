"""Kafka as source and sink of a stream, by aiokafka.

Its client is asynchronous and the message thread of an instance is not; so each connector has a loop in a thread of its
own, and between the two threads go batches, never single records. It needs the extra `kafka`.
"""
