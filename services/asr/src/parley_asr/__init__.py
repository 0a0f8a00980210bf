"""The asr service: claims utterances, follows their frames, publishes one final transcript for each."""
