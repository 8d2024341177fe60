"""Client connections and what carries them."""
