"""Critical points of every index: complete lists, strict saddles, spurious minima."""
