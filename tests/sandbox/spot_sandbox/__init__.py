"""AWS as spot.platform is tested against: the moto server with a Spot market, scarcity, interruptions and faults."""
