"""What an event is: envelope, catalogue, versions and upcasters. No I/O."""
