"""The words by which a cluster is described: protocols, mechanisms, and the variables that set them.

They are those of Kafka's own tools and images. Descriptors are checked by them where nothing may be imported that opens
a connection, so they stand apart from what uses them.
"""

from __future__ import annotations

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")

PROTOCOL_NAME = "KAFKA_SECURITY_PROTOCOL"
MECHANISM_NAME = "KAFKA_SASL_MECHANISM"
USER_NAME = "KAFKA_SASL_USERNAME"
PASSWORD_NAME = "KAFKA_SASL_PASSWORD"  # its name
CA_NAME = "KAFKA_SSL_CAFILE"
CERTIFICATE_NAME = "KAFKA_SSL_CERTFILE"
KEY_NAME = "KAFKA_SSL_KEYFILE"
KEY_PASSWORD_NAME = "KAFKA_SSL_PASSWORD"  # its name
PREFIX_NAME = "KAFKA_TOPIC_PREFIX"
SETTINGS_NAME = "KAFKA_SETTINGS"
"""Of a file that sets any of the others."""
