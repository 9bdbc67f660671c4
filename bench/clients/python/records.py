"""The records that go and come back."""

RECORDS = 300
PARTITIONS = 2


def key(number):
    return f"key {number}".encode()


def value(number):
    """Of many lengths, the longest of several kilobytes, and worth compressing."""
    return f"value {number} ".encode() * (1 + number * number % 400)
