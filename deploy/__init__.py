"""Ways to run Tandem: the embedded stack for one machine, images, compose."""
