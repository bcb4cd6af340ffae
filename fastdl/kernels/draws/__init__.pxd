"""Random words and what is drawn from them; dropout."""
