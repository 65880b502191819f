"""Look: what notebooks show, as a picture that stays and as text."""
