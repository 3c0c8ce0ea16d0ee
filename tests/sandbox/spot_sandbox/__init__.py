"""AWS as spot.platform is tested against: the moto server with a Spot market, scarcity, interruptions and faults."""

ACCOUNT = "123456789012"
"""The account that everything is in."""
