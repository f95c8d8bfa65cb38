"""Who did it: the one way in which every capability turns an identifier on a row into a person."""
