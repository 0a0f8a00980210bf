"""The doors: sound becomes segments and utterances, replies are played, and every turn is measured."""
