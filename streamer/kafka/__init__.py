"""What all that speaks to a Kafka cluster shares: how it is reached, its client's loop and its client's last words.

The control log and the connectors know nothing of each other, and both need this; so it stands below both. It needs the
extra `kafka` (aiokafka), and nothing imports it that does not use a cluster.
"""
