"""What a trained network answers on data that it has not seen, and how good that is."""
